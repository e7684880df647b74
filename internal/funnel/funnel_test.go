package funnel

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/internal/page/browsertest"
)

// figures are those of testdata/funnel.py.
type figures struct {
	Events, Users  int
	Steps          []figure
	Weeks, Sources map[string][]figure
	New, Returning []figure
	Lapse          *struct {
		Days         int
		NeverReturn  float64 `json:"never_return"`
		HorizonDays  int     `json:"horizon_days"`
		Observations int
	}
	Repurchase map[string]struct {
		Intervals int
		Median    float64 `json:"median_days"`
		P25       float64 `json:"p25_days"`
		P75       float64 `json:"p75_days"`
	}
}

type figure struct {
	Step   string
	Users  int
	Any    int `json:"any_order"`
	Rate   *float64
	Median *float64 `json:"median_s"`
	P90    *float64 `json:"p90_s"`
}

func readFigures(t *testing.T, path string) figures {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f figures
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Steps) < 3 || len(f.Repurchase) == 0 {
		t.Fatalf("%s lacks figures", path)
	}
	return f
}

func near(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return math.Abs(*a-*b) <= 1e-9*(1+math.Abs(*b))
}

func compare(t *testing.T, what string, got []StepCount, want []figure) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d steps, want %d", what, len(got), len(want))
		return
	}
	for i, w := range want {
		g := got[i]
		if g.Step != w.Step || g.Users != w.Users || g.AnyOrder != w.Any || !near(g.Rate, w.Rate) || !near(g.Median, w.Median) || !near(g.P90, w.P90) {
			t.Errorf("%s, step %s: %+v, want %+v", what, w.Step, g, w)
		}
	}
}

func compareParts(t *testing.T, what string, got []Part, want map[string][]figure) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d parts, want %d", what, len(got), len(want))
	}
	for _, p := range got {
		compare(t, what+" "+p.Name, p.Steps, want[p.Name])
	}
}

func rows(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	head, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for {
		cells, err := r.Read()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, name := range head {
			row[name] = cells[i]
		}
		out = append(out, row)
	}
}

func defaultSteps(t *testing.T) []Step {
	t.Helper()
	s, err := ParseSteps(DefaultSteps)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shop reads the made-up shop's events.
func shop(t *testing.T) *Result {
	t.Helper()
	f := New(Options{Steps: defaultSteps(t), Period: Week, By: "source"})
	for _, row := range rows(t, "testdata/shop.csv.gz") {
		at, err := time.Parse(time.RFC3339, row["time"])
		if err != nil {
			t.Fatal(err)
		}
		f.Add(row["user"], at.UnixMilli(), row["type"], row["source"], row["category"])
	}
	return f.Result()
}

func compareAll(t *testing.T, r *Result, want figures) {
	t.Helper()
	if r.Events != want.Events || r.Users != want.Users {
		t.Errorf("%d events of %d users, want %d of %d", r.Events, r.Users, want.Events, want.Users)
	}
	compare(t, "all", r.Steps, want.Steps)
	compareParts(t, "week", r.Periods, want.Weeks)
	compare(t, "new", r.NewAndReturning[0].Steps, want.New)
	compare(t, "returning", r.NewAndReturning[1].Steps, want.Returning)
	if len(r.Repurchase) != len(want.Repurchase) {
		t.Errorf("%d categories, want %d", len(r.Repurchase), len(want.Repurchase))
	}
	for _, g := range r.Repurchase {
		w := want.Repurchase[g.Category]
		if g.Intervals != w.Intervals || !near(&g.Median, &w.Median) || !near(&g.P25, &w.P25) || !near(&g.P75, &w.P75) {
			t.Errorf("%q: %+v, want %+v", g.Category, g, w)
		}
	}
}

// Eighty days of a made-up shop, out of order and with repetitions, agree with
// the plain computation in Python.
func TestShopAgrees(t *testing.T) {
	want := readFigures(t, "testdata/shop.json")
	r := shop(t)
	compareAll(t, r, want)
	compareParts(t, "source", r.Sources, want.Sources)
	if r.Lapse.Days == nil {
		t.Fatalf("no lapse: %+v", r.Lapse)
	}
	if l := want.Lapse; *r.Lapse.Days != l.Days || !near(r.Lapse.NeverReturn, &l.NeverReturn) || r.Lapse.HorizonDays != l.HorizonDays || r.Lapse.Observations != l.Observations {
		t.Errorf("%d, %v of %+v; want %+v", *r.Lapse.Days, *r.Lapse.NeverReturn, r.Lapse, want.Lapse)
	}
}

// The events of a real shop (examples/rees46) agree with it as well.
func TestREES46Agrees(t *testing.T) {
	f := New(Options{Steps: defaultSteps(t), Period: Week})
	names := map[string]string{"view": "product_view", "cart": "add_to_cart", "purchase": "purchase"}
	for _, row := range rows(t, "../../examples/rees46/testdata/rees46_2019-10-01_0000-0250.csv.gz") {
		at, err := time.Parse("2006-01-02 15:04:05 MST", row["event_time"])
		if err != nil {
			t.Fatal(err)
		}
		f.Add(row["user_id"], at.UnixMilli(), names[row["event_type"]], "", row["category_code"])
	}
	r := f.Result()
	compareAll(t, r, readFigures(t, "testdata/rees46.json"))
	if r.Leak == nil || r.Leak.From != "product_view" || r.Leak.To != "add_to_cart" || r.Leak.before() != 4504 {
		t.Errorf("the largest leak is %+v", r.Leak)
	}
	if r.Lapse.Days != nil || !strings.Contains(r.Lapse.Why, "at least 15") {
		t.Errorf("170 minutes tell who is gone: %+v", r.Lapse)
	}
}

// The order in which events are told makes no difference.
func TestOrderMakesNoDifference(t *testing.T) {
	steps := defaultSteps(t)
	rapid.Check(t, func(t *rapid.T) {
		type told struct {
			user, typ, source string
			at                int64
		}
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) told {
			user := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "user")
			return told{
				user, rapid.SampledFrom([]string{"visit", "search", "product_view", "add_to_cart", "purchase", "other"}).Draw(t, "type"),
				user, rapid.Int64Range(0, 40).Draw(t, "at") * dayMillis / 2,
			}
		}), 0, 60).Draw(t, "events")
		view := func(list []told) string {
			f := New(Options{Steps: steps, Period: Month, By: "source"})
			for _, e := range list {
				f.Add(e.user, e.at, e.typ, e.source, "c")
			}
			var b bytes.Buffer
			if err := f.Result().Write(&b, "json"); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		a, b := view(list), view(rapid.Permutation(list).Draw(t, "order"))
		if a != b {
			t.Fatalf("%s\nin another order\n%s", a, b)
		}
		var r Result
		if err := json.Unmarshal([]byte(a), &r); err != nil {
			t.Fatal(err)
		}
		before := math.MaxInt
		for _, s := range r.Steps {
			if s.Users > s.AnyOrder || !s.Optional && s.Users > before {
				t.Fatalf("the steps do not nest: %s", a)
			}
			if !s.Optional {
				before = s.Users
			}
		}
	})
}

func TestParseSteps(t *testing.T) {
	got, err := ParseSteps("visit=*, search?,view=product_view|list_view,purchase")
	if err != nil || len(got) != 4 || !got[1].Optional || got[2].Types[1] != "list_view" || got[0].Types[0] != "*" {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"": "write NAME", "a": "at least two", "a?,b,c": "cannot be optional", "a,b?": "at least two", "a,a": "twice", "a,b=|c": "write NAME",
		"a,b" + strings.Repeat(",c", 2): "twice",
	} {
		if _, err := ParseSteps(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestPeriods(t *testing.T) {
	at := func(s string) int64 {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x.UnixMilli()
	}
	for _, c := range []struct {
		p         Period
		at, start string
	}{
		{Day, "2026-03-01T23:59:59Z", "2026-03-01"},
		{Week, "2026-11-27T00:00:00Z", "2026-11-23"},
		{Week, "2026-11-23T00:00:00Z", "2026-11-23"},
		{Week, "2026-11-22T23:59:59Z", "2026-11-16"},
		{Month, "2026-02-28T23:59:59Z", "2026-02-01"},
		{Week, "1969-12-28T00:00:00Z", "1969-12-22"},
		{Day, "1969-12-31T23:00:00Z", "1969-12-31"},
		{Month, "2025-12-31T00:00:00Z", "2025-12-01"},
	} {
		if got := c.p.start(c.p.of(at(c.at))).Format(time.DateOnly); got != c.start {
			t.Errorf("the %s of %s begins %s, want %s", c.p, c.at, got, c.start)
		}
	}
}

// Whatever is missing is said, and is no NaN.
func TestEdges(t *testing.T) {
	for name, add := range map[string]func(*Funnel){
		"nothing":   func(*Funnel) {},
		"one event": func(f *Funnel) { f.Add("u", 0, "purchase", "", "") },
		"no visit":  func(f *Funnel) { f.Add("u", 0, "visit", "", ""); f.Add("v", 5, "purchase", "", "") },
		"nobody returns": func(f *Funnel) {
			for i := range 100 {
				f.Add(fmt.Sprint(i), int64(i)*dayMillis, "visit", "", "")
			}
		},
	} {
		f := New(Options{Steps: defaultSteps(t), Period: Day, By: "source"})
		add(f)
		r := f.Result()
		for _, format := range Formats {
			var b bytes.Buffer
			if err := r.Write(&b, format); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") || strings.Contains(b.String(), "%!") {
				t.Errorf("%s as %s: %v\n%s", name, format, err, b.String())
			}
		}
		if r.Lapse.Days == nil && r.Lapse.Why == "" {
			t.Errorf("%s: no reason: %+v", name, r.Lapse)
		}
	}
}

func TestHTMLInBrowser(t *testing.T) {
	browsertest.Find(t)
	var b bytes.Buffer
	if err := shop(t).Write(&b, "html"); err != nil {
		t.Fatal(err)
	}
	for _, outside := range []string{"http://", "https://", "<script", "src="} {
		if strings.Contains(b.String(), outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
	for _, width := range browsertest.Widths {
		browsertest.Open(t, b.Bytes(), width)
	}
}
