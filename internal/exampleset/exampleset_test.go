package exampleset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nudged/nudged/internal/exampleset"
)

// folder writes an example of one rule file.
func folder(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name, "rules.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	orders = "metrics: {orders: {count: purchase, within: 30d}}\n"
	ruleA  = "rules: [{name: a, on: x, send: {channel: push, class: ad, template: t}}]\n"
	ruleB  = "rules: [{name: b, on: x, send: {channel: push, class: ad, template: t}}]\n"
	capped = "policy: {caps: [{max: 1, per: 1d}]}\n"
)

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name, one, two string
		sets           string // their names
		err            string
	}{
		{"the same definition twice is one", orders + ruleA, orders + ruleB, "free", ""},
		{"another one of that name is refused", orders + ruleA, strings.Replace(orders, "30d", "31d", 1) + ruleB, "", "one and two both have metrics.orders, and not the same"},
		{"so is a rule of that name, the same or not", ruleA, ruleA, "", "one and two both have the rule.a"},
		{"another policy is another set", ruleA, capped + ruleA, "free two", ""},
		{"the same policy is one set", capped + ruleA, capped + ruleB, "shop", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			folder(t, dir, "one", c.one)
			folder(t, dir, "two", c.two)
			list, err := exampleset.Folders(dir)
			if err != nil {
				t.Fatal(err)
			}
			sets, err := exampleset.Merge(list)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want one that says %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range sets {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != c.sets {
				t.Errorf("sets %q, want %q", got, c.sets)
			}
		})
	}
}
