package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/outcomes"
	"github.com/nudged/nudged/internal/page/browsertest"
	"github.com/nudged/nudged/rules/rulefile"
)

// tableOf writes a unit-level CSV: users of each arm, so many converted, each
// with this value.
func tableOf(arms ...[3]any) string {
	var b strings.Builder
	b.WriteString("id,group,bought,revenue,before\n")
	for _, a := range arms {
		n, k := a[1].(int), a[2].(int)
		for i := range n {
			bought, value := 0, 0.0
			if i < k {
				bought, value = 1, 100+float64(i%7)*10
			}
			fmt.Fprintf(&b, "%d,%s,%d,%v,%d\n", i, a[0], bought, value, i%5*10+bought*3)
		}
	}
	return b.String()
}

var columns = Columns{Arm: "group", Converted: "bought", Value: "revenue"}

func reportOn(t *testing.T, text string, cols Columns, o Options) *Report {
	t.Helper()
	o.At = math.MaxInt64
	d, err := FromCSV("users.csv", strings.NewReader(text), cols, o, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asJSON(t *testing.T, r *Report) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, "json", []*Report{r}); err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The figures of scipy and statsmodels for 200 of 10,000 against 260 of 10,000
// (experiment/stats/testdata/figures.json), under the names that scripts read.
func TestJSONNamesAndFigures(t *testing.T) {
	cols := columns
	cols.Covariate = "before"
	r := reportOn(t, tableOf([3]any{"control", 10_000, 200}, [3]any{"treatment", 10_000, 260}), cols, Options{})
	got := asJSON(t, r)
	near := func(path string, want float64) {
		t.Helper()
		var v any = got
		for _, key := range strings.Split(path, ".") {
			switch x := v.(type) {
			case map[string]any:
				v = x[key]
			case []any:
				v = x[int(key[0]-'0')]
			}
		}
		x, ok := v.(float64)
		if !ok || math.Abs(x-want) > 1e-6*math.Abs(want)+1e-12 {
			t.Errorf("%s is %v, want %v", path, v, want)
		}
	}
	near("arms.0.exposed", 10_000)
	near("arms.1.converted", 260)
	near("arms.1.rate", 0.026)
	near("srm.chi2", 0)
	near("srm.df", 1)
	near("srm.p", 1)
	near("comparisons.0.conversion.diff", 0.006)
	near("comparisons.0.conversion.z", 2.830251652793251)
	near("comparisons.0.conversion.p", 0.004651140450960617)
	near("comparisons.0.p_holm", 0.004651140450960617)
	near("comparisons.0.conversion.ci.0", 0.001845800966962908)
	near("comparisons.0.conversion.always_valid_ci.1", 0.01262800676664157)
	near("comparisons.0.conversion.lift", 0.3)
	near("comparisons.0.conversion.lift_ci.1", 0.536920654004449)

	keys := func(v any, want ...string) {
		t.Helper()
		for _, k := range want {
			if x, ok := v.(map[string]any)[k]; !ok || x == nil {
				t.Errorf("%q is missing or null in %v", k, v)
			}
		}
	}
	keys(got, "experiment", "srm", "arms", "comparisons")
	keys(got["srm"], "chi2", "df", "p", "ok")
	keys(got["arms"].([]any)[0], "name", "exposed", "converted", "rate", "value_sum", "value_mean", "value_sd")
	c := got["comparisons"].([]any)[0].(map[string]any)
	keys(c, "arm", "control", "conversion", "value", "p_holm", "verdict")
	keys(c["conversion"], "diff", "ci", "z", "p", "lift", "lift_ci", "always_valid_ci")
	keys(c["value"], "diff", "ci", "t", "df", "p", "lift", "lift_ci", "always_valid_ci", "cuped")
	keys(c["value"].(map[string]any)["cuped"], "diff", "ci", "p", "variance_reduction")
	if c["verdict"] != "no_difference_yet" {
		t.Errorf("verdict %v: the always-valid interval holds zero", c["verdict"])
	}
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		arms    [][3]any
		weights map[string]float64
		want    []Verdict
		words   string
	}{
		"better":          {[][3]any{{"control", 5000, 100}, {"t", 5000, 300}}, nil, []Verdict{Better}, "Better by "},
		"worse":           {[][3]any{{"control", 5000, 300}, {"t", 5000, 100}}, nil, []Verdict{Worse}, "Worse by "},
		"nothing yet":     {[][3]any{{"control", 5000, 100}, {"t", 5000, 110}}, nil, []Verdict{NoDifference}, "more users in the two arms together"},
		"wrong ratio":     {[][3]any{{"control", 5000, 100}, {"t", 6000, 600}}, nil, []Verdict{WrongRatio}, "cannot be trusted"},
		"intended ratio":  {[][3]any{{"control", 1000, 20}, {"t", 4000, 300}}, map[string]float64{"control": 20, "t": 80}, []Verdict{Better}, "Better by "},
		"several arms":    {[][3]any{{"control", 5000, 100}, {"a", 5000, 300}, {"b", 5000, 105}}, nil, []Verdict{Better, NoDifference}, "Better by "},
		"an arm is empty": {[][3]any{{"control", 500, 10}}, map[string]float64{"control": 1, "t": 0.001}, []Verdict{NoDifference}, "nobody has been exposed in this arm yet"},
		"no conversions":  {[][3]any{{"control", 500, 0}, {"t", 500, 0}}, nil, []Verdict{NoDifference}, "nobody has converted in either arm yet"},
		"one user each":   {[][3]any{{"control", 1, 0}, {"t", 1, 1}}, nil, []Verdict{NoDifference}, "too few users"},
	} {
		t.Run(name, func(t *testing.T) {
			r := reportOn(t, tableOf(c.arms...), columns, Options{Weights: c.weights, Effect: 0.1})
			var got []Verdict
			for _, x := range r.Comparisons {
				got = append(got, x.Verdict)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("verdicts %q, want %q", got, c.want)
			}
			if len(r.Comparisons) > 0 && !strings.Contains(r.Comparisons[0].Statement, c.words) {
				t.Errorf("%q lacks %q", r.Comparisons[0].Statement, c.words)
			}
		})
	}
}

// Of several arms each is judged more strictly than one alone would be.
func TestHolmGuardsTheVerdict(t *testing.T) {
	one := reportOn(t, tableOf([3]any{"control", 5000, 100}, [3]any{"a", 5000, 153}), columns, Options{})
	if one.Comparisons[0].Verdict != Better {
		t.Fatalf("alone: %s, always-valid p %v", one.Comparisons[0].Verdict, *one.Comparisons[0].Conversion.AlwaysValidP)
	}
	many := [][3]any{{"control", 5000, 100}, {"a", 5000, 153}}
	for i := range 4 {
		many = append(many, [3]any{fmt.Sprint("b", i), 5000, 101})
	}
	five := reportOn(t, tableOf(many...), columns, Options{})
	if five.Comparisons[0].Verdict != NoDifference || *five.Comparisons[0].PHolm < 4.9**five.Comparisons[0].Conversion.P {
		t.Errorf("among five: %s, p_holm %v of p %v", five.Comparisons[0].Verdict, *five.Comparisons[0].PHolm, *five.Comparisons[0].Conversion.P)
	}
}

// No data makes a NaN, in any format, and whatever is null has its reason.
func TestEdgesHaveReasons(t *testing.T) {
	for name, text := range map[string]string{
		"no rows":          "group,bought,revenue\n",
		"one user":         "group,bought,revenue\ncontrol,1,5\n",
		"control only":     tableOf([3]any{"control", 100, 3}),
		"treatment only":   tableOf([3]any{"t", 100, 3}),
		"no conversions":   tableOf([3]any{"control", 100, 0}, [3]any{"t", 100, 0}),
		"all converted":    tableOf([3]any{"control", 10, 10}, [3]any{"t", 10, 10}),
		"control has none": tableOf([3]any{"control", 10, 0}, [3]any{"t", 10, 5}),
		"zero variance":    "group,bought,revenue\ncontrol,1,5\ncontrol,0,5\nt,0,5\nt,1,5\n",
		"one each":         "group,bought,revenue\ncontrol,1,5\nt,0,7\n",
		"huge values":      "group,bought,revenue\ncontrol,1,1e308\ncontrol,0,-1e308\nt,0,1e308\nt,1,-1e308\n",
	} {
		for _, cols := range []Columns{columns, {Arm: "group", Converted: "bought"}, {Arm: "group", Value: "revenue"}, {Arm: "group", Value: "revenue", Covariate: "revenue"}} {
			r := reportOn(t, text, cols, Options{Effect: 0.1, SendCost: 1})
			for _, format := range Formats {
				var b bytes.Buffer
				if err := Write(&b, format, []*Report{r}); err != nil {
					t.Fatalf("%s as %s: %v", name, format, err)
				}
				for _, bad := range []string{"NaN", "Inf", "<nil>", "%!"} {
					if strings.Contains(b.String(), bad) {
						t.Errorf("%s as %s holds %s:\n%s", name, format, bad, b.String())
					}
				}
			}
			for _, c := range r.Comparisons {
				if c.Statement == "" {
					t.Errorf("%s: no statement", name)
				}
				if v := c.Conversion; v != nil && (v.P == nil || v.Lift == nil) && v.Why == "" {
					t.Errorf("%s: conversion %+v is null without a reason", name, v)
				}
				if v := c.Value; v != nil && (v.P == nil || v.Lift == nil) && v.Why == "" {
					t.Errorf("%s: value %+v is null without a reason", name, v)
				}
			}
		}
	}
}

// What each unit cost is taken off what it brought in.
func TestNetValue(t *testing.T) {
	r := reportOn(t, tableOf([3]any{"control", 1000, 20}, [3]any{"t", 1000, 40}), columns, Options{SendCost: 2, CouponCost: 10})
	for i, sent := range []float64{0, 1000} {
		a := r.Arms[i]
		want := *a.ValueSum - 2*sent
		if i == 1 {
			want -= 10 * 40
		}
		if math.Abs(*a.NetSum-want) > 1e-6 {
			t.Errorf("%s: %v after costs, want %v", a.Name, *a.NetSum, want)
		}
	}
	n := r.Comparisons[0].Net
	if want := (*r.Arms[1].NetSum - *r.Arms[0].NetSum); math.Abs(*n.Gain-want) > 1e-6 {
		t.Errorf("gain %v, want %v", *n.Gain, want)
	}
}

func TestWrongTables(t *testing.T) {
	for want, c := range map[string]struct {
		text string
		cols Columns
		o    Options
	}{
		`no column "arm" (--arm): the columns are id, group`: {"id,group\n", Columns{Arm: "arm", Converted: "x"}, Options{}},
		"the file is empty":                  {"", columns, Options{}},
		"--arm COL with --converted COL":     {"a\n", Columns{Arm: "a"}, Options{}},
		`has no arm "ctl"`:                   {tableOf([3]any{"a", 2, 1}, [3]any{"b", 2, 1}), columns, Options{Control: "ctl"}},
		"name the one to compare with":       {tableOf([3]any{"a", 2, 1}, [3]any{"b", 2, 1}), columns, Options{}},
		`arm "b" was seen and has no weight`: {tableOf([3]any{"control", 2, 1}, [3]any{"b", 2, 1}), columns, Options{Weights: map[string]float64{"control": 1, "t": 1}}},
		"--covariate adjusts values":         {"group,bought\n", Columns{Arm: "group", Converted: "bought", Covariate: "x"}, Options{}},
	} {
		if _, err := FromCSV("users.csv", strings.NewReader(c.text), c.cols, c.o, func(error) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	// A bad row is named and left out.
	text := "group,bought,revenue\ncontrol,1,5\ncontrol,maybe,5\nt,1,much\n,1,1\nt,0\nt,0,0\n"
	var said []string
	d, err := FromCSV("users.csv", strings.NewReader(text), columns, Options{}, func(err error) { said = append(said, err.Error()) })
	if err != nil || len(said) != 4 || d.Arms[0].All != 1 || d.Arms[1].All != 1 {
		t.Fatalf("%+v, %q, %v", d, said, err)
	}
	if !strings.HasPrefix(said[0], `users.csv:3: converted is "maybe"`) || !strings.Contains(said[3], "line 6") {
		t.Errorf("%q", said)
	}
	if _, err := FromCSV("users.csv", io.MultiReader(strings.NewReader("group,bought\n"), failing{}), Columns{Arm: "group", Converted: "bought"}, Options{}, func(error) {}); !errors.Is(err, errBroken) {
		t.Errorf("a broken file: %v", err)
	}
}

var errBroken = errors.New("the disk is gone")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestText(t *testing.T) {
	r := reportOn(t, tableOf([3]any{"control", 5000, 100}, [3]any{"treatment", 5000, 300}), columns, Options{Effect: 0.1})
	var b bytes.Buffer
	if err := Write(&b, "text", []*Report{r}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/better.txt", b.Bytes())
	b.Reset()
	if err := Write(&b, "csv", []*Report{r}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/better.csv", b.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(path)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		err = os.WriteFile(path, got, 0o644)
		want = got
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it); got:\n%s", path, got)
	}
}

// overTime makes a report with the plots over time.
func overTime(t *testing.T, rate float64, controlUsers int) *Report {
	t.Helper()
	var b strings.Builder
	b.WriteString("group,bought,revenue,at\n")
	for day := range 30 {
		for i := range 400 {
			arm, p := "treatment", rate
			if i < controlUsers {
				arm, p = "control", 0.1
			}
			bought := 0
			if float64((i*37+day*11)%400)/400 < p {
				bought = 1
			}
			fmt.Fprintf(&b, "%s,%d,%d,2026-01-%02dT%02d:00:00Z\n", arm, bought, bought*(20+i%9), day+1, i%24)
		}
	}
	return reportOn(t, b.String(), Columns{Arm: "group", Converted: "bought", Value: "revenue", Time: "at"},
		Options{Effect: 0.1, SendCost: 0.02, CouponCost: 1, Weights: map[string]float64{"control": 100, "treatment": 300}})
}

// guarded is a report on decisions with guardrails: one is past its limit.
func guarded(t *testing.T) *Report {
	t.Helper()
	set, err := rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(`
experiments:
  e:
    arms: [{name: control, weight: 20}, {name: treatment, weight: 80}]
    guardrails:
      - {name: left, on: unsubscribe, within: 7d, max_percent: 2}
      - {name: angry, on: complaint, within: 7d, max_percent: 9, max_ratio: 1.5}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	var book outcomes.Book
	add := func(kind, user, arm, rail string, at int64) {
		book.Add(&decisions.Decision{
			Kind: []byte(kind), User: []byte(user), Experiment: []byte("e"), Phase: 1, Arm: []byte(arm), Fired: at,
			Guardrail: []byte(rail), CommandID: []byte(kind + user + rail),
		})
	}
	for i := range 1000 {
		kind, arm := "sent", "treatment"
		if i < 200 {
			kind, arm = "control", "control"
		}
		user := fmt.Sprint(i)
		add(kind, user, arm, "", 1000)
		if i >= 940 {
			add("guardrail", user, arm, "left", 2000)
			add("guardrail", user, arm, "left", 2000) // read twice
		}
		if i%50 == 0 {
			add("guardrail", user, arm, "angry", 3000)
		}
		if i%10 == 0 {
			add("guardrail", user, arm, "angry", 9000) // after the moment of the report
		}
	}
	d, err := FromCohort(book.Cohorts()[0], Options{At: 5000, Window: 1, Weights: map[string]float64{"control": 20, "treatment": 80}, Experiment: set.Experiments[0]})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGuardrails(t *testing.T) {
	r := guarded(t)
	if len(r.Guardrails) != 2 {
		t.Fatalf("%+v", r.Guardrails)
	}
	left, angry := r.Guardrails[0], r.Guardrails[1]
	if left.Name != "left" || !left.Alarm || left.Arms[1].Name != "treatment" || left.Arms[1].Hits != 60 || left.Arms[1].Exposed != 800 || left.Arms[0].Hits != 0 ||
		left.Statement != "Past its limit: left: 60 of 800 exposed users of treatment (7.50 %), above max_percent: 2." {
		t.Errorf("%+v", left)
	}
	if angry.Alarm || angry.Arms[0].Hits != 4 || angry.Arms[1].Hits != 16 || angry.Statement != "Not seen to be past its limit: 9 % of an arm, 1.5 times the control." {
		t.Errorf("%+v", angry)
	}
	var b strings.Builder
	if err := Write(&b, "text", []*Report{r}); err != nil || !strings.Contains(b.String(), left.Statement) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// The page in a real browser: nothing in the console, no wider than the screen,
// drawn, for a verdict of each kind.
func TestHTMLInBrowser(t *testing.T) {
	browsertest.Find(t)
	for name, r := range map[string]*Report{
		"better": overTime(t, 0.2, 100), "no difference": overTime(t, 0.105, 100), "wrong ratio": overTime(t, 0.2, 150),
		"guardrails": guarded(t),
		"nobody":     reportOn(t, "group,bought,revenue\n", columns, Options{}),
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, "html", []*Report{r}); err != nil {
				t.Fatal(err)
			}
			for _, width := range browsertest.Widths {
				if name == "nobody" && width != 390 {
					continue
				}
				browsertest.Open(t, b.Bytes(), width)
			}
		})
	}
}

// The page loads nothing, and says of every figure how it came about.
func TestHTMLIsSelfContained(t *testing.T) {
	r := overTime(t, 0.2, 100)
	var b bytes.Buffer
	if err := Write(&b, "html", []*Report{r, r}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, outside := range []string{"http://", "https://", "<script", "src=", "@import", "url(h"} {
		if strings.Contains(text, outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
	for _, cell := range strings.Split(text, "<td")[1:] {
		body, _, _ := strings.Cut(cell, "</td>")
		attrs, shown, _ := strings.Cut(body, ">")
		if strings.ContainsAny(shown, "0123456789") && !strings.Contains(attrs, "title=") && !strings.Contains(shown, "#note-") {
			t.Errorf("a figure without an explanation: <td%s", body)
		}
	}
	for _, n := range footnotes {
		if !strings.Contains(text, `id="note-`+n.ID+`"`) {
			t.Errorf("footnote %s is missing", n.ID)
		}
	}
	if strings.Count(text, "<svg") != 12 { // three plots, each wide and narrow, twice
		t.Errorf("%d plots", strings.Count(text, "<svg"))
	}
}

// The last point of the plot over time is the figure of the table.
func TestMomentsEndInTheTotal(t *testing.T) {
	r := overTime(t, 0.2, 100)
	last := r.data.Moments[len(r.data.Moments)-1]
	for i, a := range r.data.Arms {
		if last.All[i] != a.All || last.Conversion[i] != a.Conversion || math.Abs(last.Value[i].Sum()-a.Value.Sum()) > 1e-6 {
			t.Errorf("arm %s: %+v, want %+v", a.Name, last, a)
		}
	}
	l, err := stats.ConversionLift(last.Conversion[0], last.Conversion[1])
	if err != nil || l.Lift != *r.Comparisons[0].Conversion.Lift {
		t.Errorf("%v, %v", l, err)
	}
}
