package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSchemaCommand(t *testing.T) {
	code, list, _ := nudged(t, "schema")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	names := strings.Split(strings.TrimSpace(list), "\n")
	if len(names) != 6 {
		t.Errorf("schemas:\n%s", list)
	}
	for _, line := range names {
		name := strings.Fields(line)[0]
		code, out, _ := nudged(t, "schema", name)
		var s map[string]any
		if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s["$schema"] != "https://json-schema.org/draft/2020-12/schema" || s["$id"] != "urn:nudged:schema:"+name {
			t.Errorf("%s: exit %d, %v, %v", name, code, err, s["$id"])
		}
	}
	if code, _, stderr := nudged(t, "schema", "rule"); code != exitUsage || !strings.Contains(stderr, "the schemas are command, config") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
