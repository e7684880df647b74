package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type alertRules struct {
	Groups []struct {
		Name  string
		Rules []alertRule
	}
}

type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alertRule {
	t.Helper()
	var file alertRules
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alertRule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

// prometheusProgram is promtool or prometheus.
func prometheusProgram(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(os.Getenv("NUDGED_PROMETHEUS"), name)
	if _, err := os.Stat(file); err != nil || os.Getenv("NUDGED_PROMETHEUS") == "" {
		leaveOut(t, "NUDGED_PROMETHEUS names no folder with "+name+": see deploy/local/prometheus.sh")
	}
	return file
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool := prometheusProgram(t, "promtool")
	output(t, nil, promtool, "check", "rules", "deploy/prometheus/alerts.yml")
	output(t, nil, promtool, "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml")
	output(t, nil, promtool, "test", "rules", "deploy/prometheus/alerts_test.yml")
	// promtool compares all that fire: an alert that is named there does fire.
	tests := read(t, "deploy/prometheus/alerts_test.yml")
	for _, a := range alerts(t) {
		if !strings.Contains(tests, `labels: '{alertname="`+a.Alert+`"}', value: `) {
			t.Errorf("in no situation of alerts_test.yml does %s fire", a.Alert)
		}
	}
	broken := strings.Replace(read(t, "deploy/prometheus/alerts.yml"), "== 0", "== 2", 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"alerts.yml": broken, "alerts_test.yml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if e := command(t, nil, promtool, "test", "rules", filepath.Join(dir, "alerts_test.yml")); e.code == 0 {
		t.Error("promtool does not notice an alert that cannot fire")
	}
}

// An alert says how bad it is, what it means, and what to do: on a page.
func TestAlertsHaveRunbooks(t *testing.T) {
	pages, err := filepath.Glob(path("docs/runbook/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, p := range pages {
		left[strings.TrimSuffix(filepath.Base(p), ".md")] = true
	}
	delete(left, "README")
	index := read(t, "docs/runbook/README.md")
	for _, a := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has no summary, or no description", a.Alert)
		}
		if want := "https://github.com/nudged/nudged/blob/main/docs/runbook/" + a.Alert + ".md"; a.Annotations["runbook_url"] != want {
			t.Errorf("%s leads to %s", a.Alert, a.Annotations["runbook_url"])
		}
		if !left[a.Alert] {
			t.Errorf("%s has no page in docs/runbook", a.Alert)
			continue
		}
		delete(left, a.Alert)
		page := read(t, "docs/runbook/"+a.Alert+".md")
		for _, part := range []string{"# " + a.Alert + "\n", "\n## What it means\n", "\n## Look\n", "\n## Do\n"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page of %s has no %q", a.Alert, strings.TrimSpace(part))
			}
		}
		if !strings.Contains(index, "("+a.Alert+".md)") {
			t.Errorf("docs/runbook/README.md does not list %s", a.Alert)
		}
	}
	for page := range left {
		t.Errorf("docs/runbook/%s.md is of no alert", page)
	}
}
