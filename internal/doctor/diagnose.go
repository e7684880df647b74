package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/internal/config"
)

// Diagnose judges the facts.
func Diagnose(f *Facts) *Report {
	var n findings
	n.config(f)
	n.rules(f)
	if f.Kafka != nil {
		n.kafka(f)
	} else {
		n.add(Unknown, "kafka.reach", "", "Correct the configuration first", "not asked")
	}
	if f.Redis != nil {
		n.redis(f)
	} else {
		n.add(Unknown, "redis.reach", "", "Correct the configuration first", "not asked")
	}
	if f.Kafka != nil {
		n.state(f)
	}
	return n.report(config.Secrets(&f.Config))
}

func (n *findings) config(f *Facts) {
	c := &f.Config
	for _, err := range apart(f.ConfigErr) {
		n.add(Failure, "config", "", "Correct it; docs/operations.md describes each key", "%v", err)
	}
	if f.ConfigErr != nil {
		return
	}
	n.ok("config", "", "valid")
	n.unless(c.OnOffsetReset != "", Warning, "config", "on_offset_reset",
		"Take it out of the configuration once the log says that the stop is answered",
		"%s", answer(c.OnOffsetReset, "answers every partition that stops from now on"))
	loss := ""
	if c.AcceptStateLoss {
		loss = "true"
	}
	n.unless(c.AcceptStateLoss, Warning, "config", "accept_state_loss",
		"Take it out of the configuration once the log says that the stop is answered",
		"%s", answer(loss, "lets every partition go on that lacks something"))
}

func answer(given, does string) string {
	if given == "" {
		return "not set"
	}
	return fmt.Sprintf("%s: it %s", given, does)
}

// apart takes errors that were joined apart, each once.
func apart(err error) []error {
	switch joined, ok := err.(interface{ Unwrap() []error }); { //nolint:errorlint // only the outermost are ours
	case err == nil:
		return nil
	case !ok || !strings.Contains(err.Error(), "\n"):
		return []error{err}
	default:
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, apart(e)...)
		}
		return all
	}
}

func (n *findings) rules(f *Facts) {
	path := f.Config.Rules
	switch {
	case f.RulesErr != nil:
		n.add(Failure, "rules", path, "See `nudged check` with the same path", "%v", f.RulesErr)
	case f.Set != nil:
		n.unless(len(f.Set.Rules) == 0, Warning, "rules", path, "Name the file or folder of your rules in the key rules",
			"%d rules compile, version %s", len(f.Set.Rules), f.Set.Version)
	default:
		n.add(Unknown, "rules", path, "Correct the configuration first", "not read")
	}
}

// sorted returns the names in a map in their order.
func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
