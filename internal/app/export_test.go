package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/export"
	"github.com/nudged/nudged/internal/report"
)

// What is exported, read back, gives the same report: as CSV and as Parquet.
func TestExportReadsBack(t *testing.T) {
	dir := t.TempDir()
	decisionsFile := filepath.Join(dir, "decisions.jsonl")
	if err := os.WriteFile(decisionsFile, []byte(strings.Join(shopDecisions(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	source := func(files ...string) app.DecisionSource {
		return app.DecisionSource{Files: files, Complain: func(err error) { t.Error(err) }}
	}
	reportOf := func(files ...string) string {
		e := app.ExperimentReport{Experiment: "coupon", Source: source(files...)}
		e.Options = report.Options{Weights: shopWeights, Window: 14 * 86_400_000, At: 1_769_817_600_000} // 2026-01-31
		r, err := e.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return asText(t, r)
	}
	want := reportOf(decisionsFile)
	for _, format := range []string{"csv", "parquet"} {
		var files []string
		for what, rows := range map[string]int{app.Exposures: 400 + 100 + 8, app.Conversions: 40} {
			var b bytes.Buffer
			e := app.Export{What: what, Format: format, Experiment: "coupon", Source: source(decisionsFile)}
			n, err := e.Run(t.Context(), &b)
			if err != nil || n != rows {
				t.Fatalf("%s as %s: %d rows, %v; want %d", what, format, n, err, rows)
			}
			path := filepath.Join(dir, what+"."+format)
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, path)
		}
		if got := reportOf(files...); got != want {
			t.Errorf("through %s:\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestExportOutcomes(t *testing.T) {
	dir := t.TempDir()
	decisionsFile := filepath.Join(dir, "decisions.jsonl")
	if err := os.WriteFile(decisionsFile, []byte(strings.Join(shopDecisions(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	e := app.Export{
		What: app.Outcomes, Format: "parquet", Window: 14 * 86_400_000, From: 1_767_225_600_000 + 3*86_400_000, To: 1_767_225_600_000 + 5*86_400_000,
		Source: app.DecisionSource{Files: []string{decisionsFile}, Complain: func(err error) { t.Error(err) }},
	}
	var b bytes.Buffer
	n, err := e.Run(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.Read[export.Outcome](bytes.NewReader(b.Bytes()), int64(b.Len()))
	// The 4th and 5th of January: two days of twenty; those of the 4th with a 3 at
	// the end of their number convert.
	if err != nil || n != 40 || len(rows) != 40 {
		t.Fatalf("%d rows, %d read, %v", n, len(rows), err)
	}
	converted := 0
	for _, r := range rows {
		if day := r.Exposed.UTC().Day(); day != 4 && day != 5 || r.Experiment != "coupon" || r.Phase != 2 || !r.Mature {
			t.Errorf("%+v", r)
		}
		if r.Converted {
			converted++
			if r.Value != 50 || r.FirstConversion == nil || r.FirstConversion.Sub(r.Exposed).Hours() != 24 {
				t.Errorf("%+v", r)
			}
		}
	}
	if converted != 20 {
		t.Errorf("%d converted, want 20", converted)
	}
}
