package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// acl is one right.
type acl struct{ principal, resource, name, pattern, operation string }

// documentedACLs is what deploy/kafka/acls.sh gives to nudged, but for what only the
// doctor looks at: the script runs with a
// program in the place of Kafka's that tells what it was asked for.
func documentedACLs(t *testing.T, w *world) []acl {
	t.Helper()
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "kafka-acls.sh"), []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "../../deploy/kafka/acls.sh")
	cmd.Env = environment("PATH="+tools+":"+os.Getenv("PATH"), "DOCTOR=", "GROUP="+w.group,
		"EVENTS="+w.events, "SENDS="+w.sends, "DECISIONS="+w.decisions, "DEAD_LETTERS="+w.dead)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []acl
	for line := range strings.Lines(string(out)) {
		var names, operations []acl
		a := acl{pattern: "literal"}
		words := strings.Fields(line)
		for i := 0; i+1 < len(words); i++ {
			value := words[i+1]
			switch words[i] {
			case "--allow-principal":
				a.principal = value
			case "--resource-pattern-type":
				a.pattern = value
			case "--operation":
				operations = append(operations, acl{operation: value})
			case "--topic", "--group", "--transactional-id":
				names = append(names, acl{resource: strings.TrimPrefix(words[i], "--"), name: value})
			}
		}
		for _, n := range names {
			for _, o := range operations {
				if a.principal == "User:nudged" {
					all = append(all, acl{a.principal, n.resource, n.name, a.pattern, o.operation})
				}
			}
		}
	}
	if len(all) < 5 {
		t.Fatalf("deploy/kafka/acls.sh gives nudged only %v", all)
	}
	return all
}

func (a acl) builder() *kadm.ACLBuilder {
	op, err := kmsg.ParseACLOperation(a.operation)
	if err != nil {
		panic(err)
	}
	pattern := kadm.ACLPatternLiteral
	if a.pattern == "prefixed" {
		pattern = kadm.ACLPatternPrefixed
	}
	b := kadm.NewACLs().Allow(a.principal).AllowHosts("*").Operations(op).ResourcePatternType(pattern)
	switch a.resource {
	case "topic":
		return b.Topics(a.name)
	case "group":
		return b.Groups(a.name)
	}
	return b.TransactionalIDs(a.name)
}

func (b *brokers) allow(t *testing.T, acls []acl) {
	t.Helper()
	for _, a := range acls {
		done, err := b.Admin().CreateACLs(t.Context(), a.builder())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range done {
			if d.Err != nil {
				t.Fatalf("%+v: %v", a, d.Err)
			}
		}
	}
}

func (b *brokers) forbid(t *testing.T, a acl) {
	t.Helper()
	done, err := b.Admin().DeleteACLs(t.Context(), a.builder())
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, d := range done {
		deleted += len(d.Deleted)
	}
	if deleted != 1 {
		t.Fatalf("%+v: %d ACLs were deleted, want 1", a, deleted)
	}
}
