package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/app"
)

// The users are statsmodels' (experiment/stats/testdata/figures.json).
func TestPlan(t *testing.T) {
	p := app.Plan{Plan: stats.Plan{Baseline: 0.02, Lift: 0.2, Power: 0.8, Alpha: 0.05, Split: []float64{50, 50}}, Traffic: 3000}
	r, err := p.Run(t.Context())
	if err != nil || r.Total != r.Users[0]+r.Users[1] || *r.Days != (r.Total+2999)/3000 || *r.AlwaysValidDays <= *r.Days {
		t.Fatalf("%+v, %v", r, err)
	}
	var text, js bytes.Buffer
	r.Print(&text)
	for _, want := range []string{"2.4 % instead of 2 %", "21,109 exposed users", "takes 15 days"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	if err := r.JSON(&js); err != nil || !json.Valid(js.Bytes()) {
		t.Error(err)
	}
}

// A backtest tells the traffic: 400 users in 20 days, the holdout aside.
func TestPlanFromBacktest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(shopDecisions(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	p := app.Plan{Plan: stats.Plan{Baseline: 0.1, Lift: 0.5, Power: 0.8, Alpha: 0.05, Split: []float64{25, 75}}, Experiment: "coupon"}
	p.Source = app.DecisionSource{Files: []string{path}, Complain: func(err error) { t.Error(err) }}
	r, err := p.Run(t.Context())
	if err != nil || r.Expected.Users != 400 || r.Expected.Days != 19 || *r.Traffic != 400.0/19 {
		t.Fatalf("%+v, %v", r, err)
	}
	p.Experiment = ""
	if _, err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--experiment") {
		t.Errorf("two experiments: %v", err)
	}
}
