package integration

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The report of a topic that the daemon wrote in transactions is that of the
// backtest's decisions; so is what is exported from it and read back. The funnel
// of the input topic is that of the file.
func TestReportAndFunnelOfRealTopics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	w.load(shopFile)()
	w.replay().requireExit(0)
	config := w.config(shopRules, "event")

	dir := t.TempDir()
	decisions := filepath.Join(dir, "decisions.jsonl")
	outputOf(t, program, "backtest", "--rules", shopRules, "--map", shopMap, "--input", shopFile,
		"--partitions", strconv.Itoa(shopPartitions), "--decisions", decisions)

	// A short window, so that some are mature and some are not.
	fromFile := string(outputOf(t, program, "report", "look_again", "--input", decisions, "--rules", shopRules, "--within", "1h"))
	fromTopic := string(outputOf(t, program, "report", "look_again", "--config", config, "--within", "1h"))
	if fromFile != fromTopic {
		t.Errorf("from the backtest\n%s\nfrom the topic\n%s", fromFile, fromTopic)
	}
	for _, want := range []string{"EXPERIMENT look_again", "The arms have the sizes they should have: control", "intended 50.0 %", "left out of the figures for now"} {
		if !strings.Contains(fromTopic, want) {
			t.Errorf("%q is missing in\n%s", want, fromTopic)
		}
	}
	var of struct{ At string }
	if err := json.Unmarshal(outputOf(t, program, "report", "look_again", "--config", config, "--within", "1h", "--format", "json"), &of); err != nil || of.At == "" {
		t.Fatal(err, of)
	}
	for _, format := range []string{"csv", "parquet"} {
		exported := filepath.Join(dir, "exposures."+format)
		outputOf(t, program, "export", "exposures", "--config", config, "--format", format, "--out", exported)
		// The newest decision of all may be no exposure: the moment is told.
		got := string(outputOf(t, program, "report", "look_again", "--input", exported, "--rules", shopRules, "--within", "1h", "--at", of.At))
		if got != fromTopic {
			t.Errorf("through %s:\n%s\nwant\n%s", format, got, fromTopic)
		}
	}
	file := string(outputOf(t, program, "funnel", "--input", shopFile, "--map", shopMap, "--category", "category_code", "--format", "json"))
	topic := string(outputOf(t, program, "funnel", "--topic", w.events, "--config", config, "--category", "category_code", "--format", "json"))
	if file != topic {
		t.Errorf("the funnel of the file\n%s\nof the topic\n%s", file, topic)
	}
}
