package services

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Wherever a file is torn, what is left are whole commands and whole transactions.
func TestMendAOF(t *testing.T) {
	command := func(args ...string) string {
		text := fmt.Sprintf("*%d\r\n", len(args))
		for _, a := range args {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
		}
		return text
	}
	parts := []string{
		command("SELECT", "0"), command("SET", "a", "*1\r\n$5\r\nmulti\r\n"),
		command("MULTI") + command("HSET", "h", "f", "") + command("HSET", "h", "g", "2") + command("EXEC"),
		command("DEL", "a"), command("multi") + command("DEL", "h") + command("exec"),
	}
	all := strings.Join(parts, "")
	name := filepath.Join(t.TempDir(), "aof")
	for cut := range len(all) + 1 {
		want := ""
		for _, p := range parts {
			if len(want)+len(p) <= cut {
				want += p
			} else {
				break
			}
		}
		if err := os.WriteFile(name, []byte(all[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := mendAOF(name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Fatalf("torn at %d: %q left, want %q (%v)", cut, got, want, err)
		}
	}
	// What is no such file is Redis' to judge.
	if err := os.WriteFile(name, []byte(all+"garbage\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mendAOF(name); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || len(got) != len(all)+len("garbage\r\n") {
		t.Errorf("a damaged file was changed: %q, %v", got, err)
	}
}
