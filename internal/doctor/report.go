// Package doctor looks at what nudged runs on and says what is wrong with it:
// configuration, rules, Kafka, Redis, and the state that they hold of the group.
// It changes nothing in either.
//
// Looking and judging are apart: LookAtKafka and LookAtRedis gather facts,
// Diagnose judges them and does nothing else.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Status is how a check came out.
type Status string

// The outcomes of a check.
const (
	OK      Status = "ok"
	Warning Status = "warning" // nudged runs, something promised may not hold
	Failure Status = "failure" // nudged does not run, or loses something
	Unknown Status = "unknown" // it cannot be told, Found says why
)

// Finding is the outcome of one check on one thing.
type Finding struct {
	Check   string `json:"check"`             // a name that stays, one of Checks
	Subject string `json:"subject,omitempty"` // a topic, a node, a partition
	Status  Status `json:"status"`
	Found   string `json:"found"`
	Why     string `json:"why"` // it matters
	Do      string `json:"do,omitempty"`
}

// Report is all that was found.
type Report struct {
	Status   Status         `json:"status"` // failure, warning or ok: the worst but for unknown
	Count    map[Status]int `json:"count"`
	Findings []Finding      `json:"findings"`
}

// Checks are the names of the checks, and why each matters.
var Checks = map[string]string{
	"config":             "nudged does not start with a configuration that is not valid",
	"rules":              "nudged does not start with rules that do not compile",
	"kafka.reach":        "a partition whose leader cannot be reached stands still",
	"kafka.version":      "exactly once needs the transactions of Kafka 2.5; with transaction.version 2 (4.0 and later) a delayed request cannot join a later transaction",
	"kafka.topic":        "nudged does not start while one of its topics is missing, and waits while a partition has no leader",
	"kafka.partitions":   "what partition p of the events decides goes to partition p modulo theirs: with as many, the evidence of one is not read through for another",
	"kafka.rights":       "what nudged may not do it cannot do without: it would stop or never start",
	"kafka.durability":   "exactly once holds as long as Kafka does not lose what it has acknowledged",
	"kafka.retention":    "a Redis that was emptied is rebuilt from the topics: events, sends and decisions have to reach back far enough, and as far as each other",
	"kafka.cleanup":      "compaction removes records that a rebuild needs: the events of a user, the evidence of what was decided",
	"kafka.message_size": "a batch of records that the broker refuses would be produced again for ever",
	"kafka.timestamps":   "an event's time is held against its record's timestamp (max_ahead), and retention goes by that timestamp",
	"kafka.transactions": "the next owner of a killed process waits for its transaction; a timeout that the broker does not allow keeps nudged from starting",
	"kafka.offsets":      "the committed offset tells where a partition stands; where it has expired the partition stops",
	"kafka.group":        "who else is in the group takes partitions that nudged should process",
	"kafka.lag":          "an event that is not taken in yet starts and ends nothing",
	"redis.reach":        "without Redis partitions wait",
	"redis.version":      "scripts and rights are those of Redis 7",
	"redis.eviction":     "a Redis that removes keys when its memory is full loses single users and messages, which nothing notices; nudged refuses to start",
	"redis.persistence":  "what Redis loses in a crash is replayed from the topics: persistence decides how much",
	"redis.memory":       "a Redis at its limit refuses writes, and partitions stand still",
	"redis.replicas":     "after a fail-over what the replica lacked is replayed; without a replica partitions wait until Redis is back",
	"redis.rights":       "a command that Redis refuses stops the partition that needs it",
	"redis.packing":      "user states are kept in small hashes, which take half the memory while they stay packed",
	"redis.others":       "groups that share a Redis share its memory; one that was renamed has left its state behind",
	"clock.redis":        "timers go by the clock of the machine that nudged runs on: one that is behind makes them late",
	"clock.kafka":        "event times are held against record timestamps, timers against this machine's clock",
	"state":              "where Kafka and Redis do not fit together a partition stops until it is answered",
}

// findings gathers.
type findings struct{ list []Finding }

func (f *findings) add(status Status, check, subject, do, format string, args ...any) {
	f.list = append(f.list, Finding{Check: check, Subject: subject, Status: status, Found: fmt.Sprintf(format, args...), Why: Checks[check], Do: do})
}

func (f *findings) ok(check, subject, format string, args ...any) {
	f.add(OK, check, subject, "", format, args...)
}

// unless adds an ok finding, or one of the status given that says what to do.
func (f *findings) unless(bad bool, status Status, check, subject, do, format string, args ...any) {
	if !bad {
		status, do = OK, ""
	}
	f.add(status, check, subject, do, format, args...)
}

// report closes the findings. No text of it holds one of the secrets.
func (f *findings) report(secrets []string) *Report {
	r := &Report{Status: OK, Count: map[Status]int{OK: 0, Warning: 0, Failure: 0, Unknown: 0}, Findings: f.list}
	for i := range r.Findings {
		n := &r.Findings[i]
		n.Found, n.Do = redact(n.Found, secrets), redact(n.Do, secrets)
		r.Count[n.Status]++
	}
	switch {
	case r.Count[Failure] > 0:
		r.Status = Failure
	case r.Count[Warning] > 0:
		r.Status = Warning
	}
	return r
}

// secretKey is a line of a configuration that an error may quote.
var secretKey = regexp.MustCompile(`(?im)(\b(?:password|sentinel_password|secrets?|authorization|token|headers)["']?\s*[:=]\s*)\S.*$`)

func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "(hidden)")
		}
	}
	return secretKey.ReplaceAllString(text, "$1(hidden)")
}

// JSON writes the report for machines.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// words are how people are told the statuses.
var words = map[Status]string{OK: "ok", Warning: "WARNING", Failure: "FAILURE", Unknown: "cannot tell"}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	for i, f := range r.Findings {
		name := f.Check
		if f.Subject != "" {
			name += " " + f.Subject
		}
		fmt.Fprintf(w, "%-11s  %s: %s\n", words[f.Status], name, indent(f.Found))
		// Once for findings that follow each other.
		if f.Status != OK && (i == 0 || r.Findings[i-1].Check != f.Check || r.Findings[i-1].Status == OK) {
			fmt.Fprintf(w, "%13swhy: %s\n", "", indent(f.Why))
		}
		if f.Do != "" {
			fmt.Fprintf(w, "%13sdo:  %s\n", "", indent(f.Do))
		}
	}
	fmt.Fprintf(w, "\n%d ok, %d warnings, %d failures, %d cannot be told\n", r.Count[OK], r.Count[Warning], r.Count[Failure], r.Count[Unknown])
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", 18))
}
