package main

import (
	"strings"
	"testing"
)

func TestExplainWrongUse(t *testing.T) {
	for want, args := range map[string][]string{
		"--user is needed":         {},
		"use text or json":         {"--user", "u1", "--format", "xml"},
		`--at "noon": write a day`: {"--user", "u1", "--at", "noon"},
		"no/such/file.yaml":        {"--user", "u1", "--config", "no/such/file.yaml"},
	} {
		code, _, stderr := nudged(t, append([]string{"explain"}, args...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	dir := folder(t, map[string]string{"r.yaml": "rules: [{name: x}]\n"})
	if code, _, stderr := nudged(t, "explain", "--user", "u1", "--rules", dir); code != exitProblems || !strings.Contains(stderr, "r.yaml:1:9") {
		t.Errorf("wrong rules: exit %d, %q", code, stderr)
	}
}
