package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nudged runs one command line.
func nudged(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// folder makes files in a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func requireAll(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	_, help, _ := nudged(t, "--help")
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\nFlags:")
	names := 0
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		name := strings.Fields(line)[0]
		if name == "help" {
			continue
		}
		names++
		if _, text, _ := nudged(t, name, "--help"); !strings.Contains(text, "Examples:\n  nudged "+name) {
			t.Errorf("nudged %s --help shows no example:\n%s", name, text)
		}
	}
	if names < 6 {
		t.Errorf("only %d commands in\n%s", names, help)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"tset"}, {"test"}, {"test", "--format", "xml", "."}, {"test", "--run", "(", "."}, {"test", "--nonsense"}} {
		if code, _, stderr := nudged(t, args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
}
