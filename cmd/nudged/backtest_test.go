package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/backtest"
	"github.com/nudged/nudged/internal/embedded"
)

const viewEvents = `{"id":"1","type":"view","user":"a","time":"2026-01-01T10:00:00Z"}
{"id":"2","type":"view","user":"b","time":"2026-01-01T11:00:00Z"}
{"id":"3","type":"purchase","user":"a","time":"2026-01-02T10:00:00Z"}
`

const viewRules = "rules:\n  - {name: hi, on: view, send: {channel: push, class: ad, template: t}}\n"

func TestBacktestCommand(t *testing.T) {
	dir := folder(t, map[string]string{"r.yaml": viewRules, "r2.yaml": strings.Replace(viewRules, "on: view", "on: view, where: event.user == 'a'", 1), "e.jsonl": viewEvents})
	at := func(name string) string { return filepath.Join(dir, name) }
	base := []string{"backtest", "--rules", at("r.yaml"), "--input", at("e.jsonl")}

	code, out, stderr := nudged(t, append(base, "--goal", "purchase", "--within", "2d", "--assume", "conversion=100%", "--basket", "1000", "--send-cost", "10",
		"--decisions", at("d.jsonl"), "--compare", at("r2.yaml"), "--compare-out", at("c.csv"))...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	requireAll(t, out, "3 events of 2 users", "50.00 %", "If 100.00 % of those reached converted", "hi: fewer messages for b")
	decisions, err := os.ReadFile(at("d.jsonl"))
	if err != nil || strings.Count(string(decisions), "\n") != 2 {
		t.Errorf("decisions %q, %v", decisions, err)
	}
	if who, err := os.ReadFile(at("c.csv")); err != nil || !strings.Contains(string(who), "hi,b,lose,1,0\n") {
		t.Errorf("compared %q, %v", who, err)
	}

	code, out, _ = nudged(t, append(base, "--format", "csv", "--to", "2026-01-01T11:00:00Z")...)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[1], "2026-01-01,hi,1,") {
		t.Errorf("exit %d, CSV:\n%s", code, out)
	}
	code, out, stderr = nudged(t, append(base, "--decisions", "-")...)
	if code != 0 || strings.Count(out, "command_id") != 2 || !strings.Contains(stderr, "3 events") {
		t.Errorf("exit %d, out %q, err %q", code, out, stderr)
	}
}

func TestBacktestOfATopic(t *testing.T) {
	dir := folder(t, map[string]string{"r.yaml": viewRules})
	addrs, stop, err := embedded.StartKafka(map[string]int32{"events": 3})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, l := range strings.Split(strings.TrimSpace(viewEvents), "\n") {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Key: []byte(l), Value: []byte(l)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	code, out, stderr := nudged(t, "backtest", "--rules", filepath.Join(dir, "r.yaml"), "--topic", "events", "--brokers", strings.Join(addrs, ","), "--format", "json")
	var res backtest.Result
	if err := json.Unmarshal([]byte(out), &res); err != nil || code != 0 || res.Events != 3 || res.Rules[0].Impact.Reached != 2 {
		t.Errorf("exit %d, %v, %+v, %s", code, err, res, stderr)
	}
}

func TestBacktestWrongUse(t *testing.T) {
	for want, args := range map[string][]string{
		"one of --input and --topic":  {"--rules", "r"},
		"--input and --topic":         {"--rules", "r", "--input", "a", "--topic", "b"},
		"--partitions 0":              {"--rules", "r", "--input", "a", "--partitions", "0"},
		"--partitions is of files":    {"--rules", "r", "--topic", "a", "--partitions", "3"},
		"use text, json or csv":       {"--rules", "r", "--input", "a", "--format", "xml"},
		"write conversion=4%":         {"--rules", "r", "--input", "a", "--assume", "conversion=400%"},
		"write conversion=4% ":        {"--rules", "r", "--input", "a", "--assume", "4%"},
		"--basket needs --assume":     {"--rules", "r", "--input", "a", "--basket", "5"},
		"not negative":                {"--rules", "r", "--input", "a", "--assume", "conversion=4%", "--basket", "-5"},
		"--within needs --goal":       {"--rules", "r", "--input", "a", "--within", "5d"},
		"--within: \"5\" has no unit": {"--rules", "r", "--input", "a", "--goal", "x", "--within", "5"},
		"--compare-out needs":         {"--rules", "r", "--input", "a", "--compare-out", "x"},
		"--from \"now\": write a day": {"--rules", "r", "--input", "a", "--from", "now"},
		"is not after --from":         {"--rules", "r", "--input", "a", "--from", "2026-01-02", "--to", "2026-01-01"},
	} {
		code, _, stderr := nudged(t, append([]string{"backtest"}, args...)...)
		if code != exitUsage || !strings.Contains(stderr, strings.TrimSpace(want)) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}
