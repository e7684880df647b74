package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Wrong use ends with 2, what is wrong with the data with 1, and says so.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users.csv")
	out := filepath.Join(dir, "out")
	if err := os.WriteFile(users, []byte("g,c,v\ncontrol,1,2\ncontrol,0,0\nt,0,1\nt,x,1\nt,1,9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want int
		args []string
	}{
		{2, []string{"report", "--csv", users}},
		{2, []string{"report", "--csv", users, "--input", users}},
		{2, []string{"report", "--arm", "g"}},
		{2, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--format", "pdf"}},
		{2, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--weights", "t"}},
		{2, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--within", "soon"}},
		{2, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--at", "noon"}},
		{2, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--effect", "0"}},
		{2, []string{"report", "a", "b"}},
		{1, []string{"report", "--csv", users, "--arm", "g", "--converted", "c", "--out", out}}, // a bad row
		{0, []string{"report", "--csv", users, "--arm", "g", "--value", "v", "--format", "html", "--out", out}},
		{1, []string{"report", "--csv", users, "--arm", "nothing", "--value", "v"}},
		{1, []string{"report", "--input", empty}},
		{2, []string{"plan"}},
		{2, []string{"plan", "--baseline", "2%", "--lift", "0%"}},
		{2, []string{"plan", "--baseline", "two", "--lift", "20%"}},
		{2, []string{"plan", "--baseline", "2%", "--lift", "20%", "--traffic", "many"}},
		{2, []string{"plan", "--baseline", "2%", "--lift", "20%", "--split", "100"}},
		{0, []string{"plan", "--baseline", "2%", "--lift", "20%", "--split", "20/40/40", "--traffic", "500/day", "--format", "json"}},
		{2, []string{"funnel"}},
		{2, []string{"funnel", "--input", empty, "--topic", "t"}},
		{2, []string{"funnel", "--input", empty, "--steps", "a"}},
		{2, []string{"funnel", "--input", empty, "--period", "hour"}},
		{2, []string{"funnel", "--input", empty, "--from", "yesterday"}},
		{2, []string{"funnel", "--input", empty, "--purchase", "buy"}},
		{0, []string{"funnel", "--input", empty}},
		{2, []string{"doctor", "now"}},
		{2, []string{"doctor", "--format", "xml"}},
		{2, []string{"doctor", "--timeout", "0s"}},
		{1, []string{"doctor", "--config", filepath.Join(dir, "none.yaml")}},
		{2, []string{"export"}},
		{2, []string{"export", "everything"}},
		{2, []string{"export", "exposures", "--input", empty, "--format", "parquet"}},
		{2, []string{"export", "exposures", "--input", empty, "--within", "1d"}},
		{0, []string{"export", "outcomes", "--input", empty, "--format", "parquet", "--out", out}},
	} {
		if got := execute(t.Context(), c.args, io.Discard, io.Discard); got != c.want {
			t.Errorf("nudged %q ends with %d, want %d", c.args, got, c.want)
		}
	}
}

func TestParseQuantities(t *testing.T) {
	for text, want := range map[string]float64{"20%": 0.2, "0.2": 0.2, " 2 % ": 0.02, "-5%": -0.05} {
		if got, err := parsePercent(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "x", "NaN", "1e999"} {
		if got, err := parsePercent(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for text, want := range map[string]int64{"14d": 14 * 86_400_000, "1d12h": 36 * 3_600_000, "500ms": 500, "2w": 14 * 86_400_000} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0d", "1.5d", "1y", "d", "99999999999999999999d", "9223372036854775807w"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got, err := parseWeights("control=20, treatment = 80"); err != nil || got["control"] != 20 || got["treatment"] != 80 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"a", "a=0", "a=-1", "=1", "a=1,a=2", "a=x", "a=Inf"} {
		if got, err := parseWeights(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
