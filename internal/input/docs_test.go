package input

import (
	"regexp"
	"testing"
)

var sample = regexp.MustCompile("(?s)With `format: (\\w+)`(?: and `types: \\{([^:]+): (\\w+)\\}`)?\n\n<!-- sample: \\w+ -->\n```json\n(.*?)\n```\n\nis read as\n\n```json\n(.*?)\n```")

// The samples of docs/input.md are read as it says.
func TestDocumentedSamples(t *testing.T) {
	samples := sample.FindAllStringSubmatch(readFileText(t, "../../docs/input.md"), -1)
	if len(samples) != 3 {
		t.Fatalf("%d samples found, want 3", len(samples))
	}
	for _, s := range samples {
		m := Mapping{Format: s[1]}
		if s[2] != "" {
			m.Types = map[string]string{s[2]: s[3]}
		}
		got, err := readText(t, "sample.jsonl", s[4]+"\n", m, maxRecord)
		if err != nil || len(got) != 1 || got[0] != "1: "+s[5] {
			t.Errorf("%s: %v\n got %s\nwant 1: %s", s[1], err, got, s[5])
		}
	}
}
