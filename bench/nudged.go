package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/nudged/nudged/bench/load"
)

//go:embed rules/rules.yaml
var rulesFile []byte

//go:embed rules/timers.yaml
var timerRulesFile []byte

// settings are what the benchmark says in nudged's configuration. All that it
// does not say stays as nudged has it by default.
type settings struct {
	services services
	topics   load.Topics
	group    string
	clock    string // wall or event
	http     string // host:port
	rules    []byte // nil: rulesFile
	buckets  int    // redis.user_buckets; 0: the default
}

// write writes the rules and the configuration below dir and returns the path
// of the latter.
func (s settings) write(dir string) (string, error) {
	rules := filepath.Join(dir, "rules")
	if err := os.MkdirAll(rules, 0o755); err != nil {
		return "", err
	}
	text := s.rules
	if text == nil {
		text = rulesFile
	}
	if err := os.WriteFile(filepath.Join(rules, "rules.yaml"), text, 0o644); err != nil {
		return "", err
	}
	buckets := ""
	if s.buckets > 0 {
		buckets = fmt.Sprintf(", user_buckets: %d", s.buckets)
	}
	// JSON's strings are YAML's, so %q serves for names without control characters.
	config := fmt.Sprintf(`kafka:
  brokers: [%s]
  group: %q
  topics: {events: [%q], sends: %q, decisions: %q, dead_letters: %q}
redis: {addrs: [%q], mode: single%s}
rules: %q
clock: %s
http: {addr: %q}
`, quoteAll(s.services.brokers), s.group,
		s.topics.Events, s.topics.Sends, s.topics.Decisions, s.topics.DeadLetters,
		s.services.redisAddr, buckets, rules, s.clock, s.http)
	path := filepath.Join(dir, "nudged.yaml")
	return path, os.WriteFile(path, []byte(config), 0o644)
}

func quoteAll(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = fmt.Sprintf("%q", item)
	}
	return strings.Join(quoted, ", ")
}

// freeAddr returns a loopback address that nothing listens on now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// tail returns the last lines of a file, for an error that has to tell what a
// process said before it failed.
func tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(raw, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
