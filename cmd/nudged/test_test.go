package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const helloRules = `rules:
  - name: hello
    on: signup
    send: {channel: email, class: transactional, template: hi}
`

const helloTests = `rules: rules.yaml
tests:
  - name: signs up
    events: [{at: 1s, type: signup, user: u1}]
    expect:
      # the greeting
      - {at: 1s, user: u1, rule: hello, decision: sent}
  - name: signs up twice
    events: [{at: 1s, type: signup, user: u1}, {at: 2s, type: signup, user: u1}]
    expect:
      - {at: 1s, user: u1, rule: hello, decision: sent, template: ho} # as ever
`

func TestExamplesPass(t *testing.T) {
	code, out, stderr := nudged(t, "test", "../../examples")
	if code != 0 || !strings.Contains(out, "all passed") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
}

func TestRuleTests(t *testing.T) {
	dir := folder(t, map[string]string{"rules.yaml": helloRules, "hello.test.yaml": helloTests})
	file := filepath.Join(dir, "hello.test.yaml")
	code, out, _ := nudged(t, "test", dir)
	if code != exitProblems {
		t.Errorf("exit %d", code)
	}
	requireAll(t, out, "FAIL  "+file+":8  signs up twice", "expected", "happened instead", "ho *", "why: hello of u1 at 1s: template is hi", "2 tests in 1 files: 1 failed")

	if code, out, _ = nudged(t, "test", dir, "--run", "up$"); code != 0 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	requireAll(t, out, "ok    "+file+"  1 tests", "1 tests in 1 files: all passed")
	if code, _, stderr := nudged(t, "test", dir, "--run", "nothing"); code != exitUsage || !strings.Contains(stderr, "none of the 2 tests") {
		t.Errorf("exit %d, %s", code, stderr)
	}

	junit := filepath.Join(dir, "report.xml")
	code, out, _ = nudged(t, "test", dir, "--junit", junit, "--format", "json")
	var list []testJSON
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitProblems {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	if len(list) != 2 || !list[0].Passed || list[1].Passed || list[1].Diff[0].Values["template"] != "ho" || list[1].Line != 8 {
		t.Errorf("results %+v", list)
	}
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	requireAll(t, string(text), `<testsuites tests="2" failures="1" errors="0">`)
}

func TestUpdateRuleTests(t *testing.T) {
	dir := folder(t, map[string]string{"rules.yaml": helloRules, "hello.test.yaml": helloTests})
	file := filepath.Join(dir, "hello.test.yaml")
	code, out, stderr := nudged(t, "test", dir, "--update")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}
	requireAll(t, out, "wrote "+file+"  signs up twice", "2 tests in 1 files: all passed, 1 updated")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(helloTests, "ho} # as ever", "hi} # as ever\n      - {at: 2s, user: u1, rule: hello, decision: sent, template: hi}", 1)
	if string(text) != want {
		t.Errorf("written:\n%s\nwant:\n%s", text, want)
	}
	if code, out, _ := nudged(t, "test", dir, "--update"); code != 0 || strings.Contains(out, "updated") {
		t.Errorf("the second time: exit %d\n%s", code, out)
	}
}

func TestRuleTestsWithMistakes(t *testing.T) {
	dir := folder(t, map[string]string{
		"rules.yaml": helloRules, "a.test.yaml": strings.Replace(helloTests, "expect:", "expcet:", 1),
		"bad.yaml": "rules: [{name: x}]\n", "b.test.yaml": strings.Replace(helloTests, "rules.yaml", "bad.yaml", 1),
		"c.test.yaml": strings.Replace(helloTests, "rules.yaml", "gone.yaml", 1), "d.test.yaml": strings.Replace(helloTests, "template: ho", "template: hi", 1),
	})
	code, out, _ := nudged(t, "test", dir)
	if code != exitProblems {
		t.Errorf("exit %d", code)
	}
	requireAll(t, out, `a.test.yaml:5:5: a test has no key "expcet"`, "did you mean expect?", "bad.yaml:1:9: the rule x has no on", "gone.yaml", "name a rule file",
		"FAIL  "+filepath.Join(dir, "d.test.yaml")+":8  signs up twice")
}
