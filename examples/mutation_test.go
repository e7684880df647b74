package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/nudged/nudged/internal/exampleset"
	"github.com/nudged/nudged/internal/ruletest"
)

// Every key that may be left out is left out, every duration is a millisecond
// longer and shorter (a day, where a schedule asks), every audience is everybody: some test of the example has
// to fail each time, or nothing holds the rule to what it says.
func TestEveryRuleIsHeld(t *testing.T) {
	total := 0
	for _, f := range folders(t) {
		if f.Name == "cart" || f.Name == "rees46" {
			continue // held by the demo's and the integration's own tests
		}
		t.Run(f.Name, func(t *testing.T) {
			dir := t.TempDir()
			for _, path := range slices.Concat(f.Rules, f.Tests) {
				copyFile(t, path, dir)
			}
			tried := 0
			for _, path := range f.Rules {
				doc, err := exampleset.Parse(path)
				if err != nil {
					t.Fatal(err)
				}
				m := &mutator{t: t, dir: dir, file: path, doc: doc, tests: f.Tests}
				m.node(func(v any) { m.doc = v.(yaml.MapSlice) }, doc, "", false)
				copyFile(t, path, dir)
				tried += m.tried
			}
			if tried < 4 {
				t.Errorf("only %d changes were tried", tried)
			}
			total += tried
		})
	}
	t.Logf("%d changes", total)
}

func copyFile(t *testing.T, path, dir string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unseen are changes that nobody can see from outside, and why.
var unseen = map[string]string{
	"repurchase-by-category: without /rules/repurchase/where":  "the map in wait_until has no other category: without a time nothing starts",
	"win-back-holdout: /rules/win_back/cooldown: 7516800000ms": "a day less of 88 ends before the same Tuesday",
}

// mutator changes one place of a rule file after the other.
type mutator struct {
	t         *testing.T
	dir, file string
	doc       yaml.MapSlice
	tests     []string
	tried     int
}

// leftOut are the keys that a rule file may lack.
var leftOut = []string{
	"where", "when", "unless", "exit", "key", "restart", "cooldown", "expire_after", "experiment", "priority",
	"goal", "then", "else", "audience", "caps", "consent", "quiet_hours", "profile", "holdout", "channel",
}

// lengths are the keys that hold a duration.
var lengths = []string{"wait", "within", "cooldown", "expire_after", "per"}

// node goes over all below v, which set puts anew into its place.
func (m *mutator) node(set func(any), v any, path string, scheduled bool) {
	switch v := v.(type) {
	case yaml.MapSlice:
		scheduled = scheduled || slices.ContainsFunc(v, func(i yaml.MapItem) bool { return i.Key == "schedule" })
		for i, item := range v {
			key := fmt.Sprint(item.Key)
			at := path + "/" + key
			if slices.Contains(leftOut, key) && path != "/audiences" && path != "/experiments" && path != "/metrics" {
				set(slices.Delete(slices.Clone(v), i, i+1))
				m.try("without " + at)
				set(v)
			}
			put := func(value any) { v[i].Value = value }
			if text, ok := item.Value.(string); ok {
				for _, other := range instead(key, text, path, scheduled) {
					put(other)
					m.try(at + ": " + other)
					put(item.Value)
				}
			}
			if n, ok := item.Value.(uint64); ok && key == "max" {
				put(n + 1)
				m.try(at + " + 1")
				put(n)
			}
			m.node(put, item.Value, at, scheduled)
		}
	case []any:
		for i, item := range v {
			at := path + "/" + strconv.Itoa(i)
			if name := nameOf(item); name != "" {
				at = path + "/" + name
			}
			if last := path[strings.LastIndex(path, "/")+1:]; len(v) > 1 && last != "arms" && last != "rules" {
				set(slices.Delete(slices.Clone(v), i, i+1))
				m.try("without " + at)
				set(v)
			}
			m.node(func(value any) { v[i] = value }, item, at, scheduled)
		}
	}
}

func nameOf(v any) string {
	fields, _ := v.(yaml.MapSlice)
	for _, f := range fields {
		if f.Key == "name" {
			return fmt.Sprint(f.Value)
		}
	}
	return ""
}

// instead is what may stand in the place of a text.
func instead(key, text, path string, scheduled bool) []string {
	switch {
	case slices.Contains(lengths, key) && scheduled && key == "cooldown":
		// Asked once a day at most.
		return []string{longer(text, dayMillis), longer(text, -dayMillis)}
	case slices.Contains(lengths, key):
		return []string{longer(text, 1), longer(text, -1)}
	case key == "class" && text == "ad" && strings.Contains(path, "/send"):
		return []string{"transactional"}
	case key == "class" && text == "transactional":
		return []string{"ad"}
	case path == "/audiences":
		return []string{"true", "false"}
	case key == "template":
		return []string{text + "x"}
	}
	return nil
}

const dayMillis = 86_400_000

// longer is a duration that is longer by so many milliseconds.
func longer(text string, by int64) string { return strconv.FormatInt(millis(text)+by, 10) + "ms" }

func millis(text string) int64 {
	total, n := int64(0), int64(0)
	for rest := text; rest != ""; {
		if d := rest[0]; d >= '0' && d <= '9' {
			n, rest = n*10+int64(d-'0'), rest[1:]
			continue
		}
		for _, unit := range []struct {
			name string
			ms   int64
		}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}, {"d", 86_400_000}, {"w", 7 * 86_400_000}} {
			if after, ok := strings.CutPrefix(rest, unit.name); ok {
				total, n, rest = total+n*unit.ms, 0, after
				break
			}
		}
	}
	return total
}

// try writes the changed file and wants a test to fail. A change that makes no
// rule file is none.
func (m *mutator) try(what string) {
	text, err := exampleset.Format(m.doc)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, filepath.Base(m.file)), text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	for _, path := range m.tests {
		file, err := ruletest.Load(filepath.Join(m.dir, filepath.Base(path)))
		if err != nil {
			if strings.HasSuffix(what, "ms") {
				m.t.Errorf("%s, %s: %v", m.file, what, err)
			}
			return
		}
		for _, test := range file.Tests {
			r, err := file.Run(test)
			if err != nil {
				m.t.Fatal(err)
			}
			if r.Failed() {
				m.tried++
				return
			}
		}
	}
	if _, known := unseen[filepath.Base(filepath.Dir(m.file))+": "+what]; !known {
		m.t.Errorf("%s: no test fails with the change %s", m.file, what)
	}
}
