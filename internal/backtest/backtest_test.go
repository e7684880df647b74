package backtest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func play(t *testing.T, c *Config) *Result {
	t.Helper()
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.Complain == nil {
		c.Complain = func(err error) { t.Errorf("complaint: %v", err) }
	}
	res, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const testRules = `
rules:
  - name: bought_nothing
    on: view
    wait: 1h
    unless: [{on: buy}]
    send: {channel: push, class: transactional, template: t, data: {item: trigger.item}}
`

func TestBacktest(t *testing.T) {
	events := write(t, "e.jsonl", `{"id":"1","type":"view","user":"a","time":"2026-01-01T23:30:00Z","item":"x"}
{"id":"2","type":"view","user":"b","time":"2026-01-01T23:31:00Z"}
not json
{"id":"3","type":"buy","user":"b","time":"2026-01-01T23:50:00Z"}
{"id":"3","type":"buy","user":"b","time":"2026-01-01T23:50:00Z"}
{"id":"4","type":"other","user":"c","time":"2026-01-02T02:00:00Z"}
{"id":"5","type":"view","user":"c","time":"2026-01-02T03:00:00Z"}
`)
	var decisions bytes.Buffer
	var complaints []error
	res := play(t, &Config{
		Rules: write(t, "r.yaml", testRules), Files: []string{events}, Decisions: &decisions,
		Complain: func(err error) { complaints = append(complaints, err) },
	})
	if res.Events != 6 || res.BadLines != 1 || res.Duplicates != 1 || res.Unread != 1 || res.Pending != 1 || res.Users != 3 {
		t.Errorf("result %+v", res)
	}
	if len(complaints) != 1 || !strings.Contains(complaints[0].Error(), "e.jsonl:3") {
		t.Errorf("complaints %v", complaints)
	}
	if got := res.Rules[0].Outcomes; got["sent"] != 1 || got["cancelled"] != 1 || len(got) != 2 {
		t.Errorf("outcomes %v", got)
	}
	// Fired at half past midnight of the next day.
	if len(res.Days) != 2 || res.Days[1].Day != "2026-01-02" || res.Days[1].Sent != 1 || res.Days[0].Sent != 0 {
		t.Errorf("days %+v", res.Days)
	}
	var first map[string]any
	if err := json.NewDecoder(&decisions).Decode(&first); err != nil || first["decision"] != "cancelled" || first["user"] != "b" {
		t.Errorf("first decision %v, %v", first, err)
	}
	var table bytes.Buffer
	res.Print(&table)
	if !strings.Contains(table.String(), "bought_nothing") || !strings.Contains(table.String(), "2026-01-02") {
		t.Errorf("printed:\n%s", table.String())
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	c := Config{Rules: write(t, "r.yaml", testRules), Files: []string{"nowhere.jsonl"}, Partitions: 1}
	if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere.jsonl") {
		t.Errorf("error %v", err)
	}
}

const dayMS = int64(86_400_000)

// line is one event as JSON.
func line(id int, typ, user string, ms int64, more string) string {
	return fmt.Sprintf(`{"id":"e%d","type":%q,"user":%q,"time":%q%s}`+"\n", id, typ, user, eventtime.AppendRFC3339(nil, ms), more)
}

const jan1 = int64(1_767_225_600_000) // 2026-01-01T00:00:00Z

// The check of the arithmetic: 10,000 viewers, of whom 2 % buy within two days;
// what if 4 % did?
func TestWhatIf(t *testing.T) {
	var b strings.Builder
	for u := range 10_000 {
		b.WriteString(line(u, "product_view", fmt.Sprintf("u%d", u), jan1, ""))
	}
	id := 10_000
	buy := func(u int, at int64) {
		b.WriteString(line(id, "purchase", fmt.Sprintf("u%d", u), at, `,"revenue":7`))
		id++
	}
	for u := range 200 {
		buy(u, jan1+2*dayMS) // the last moment
		buy(u, jan1+2*dayMS) // once more is no other buyer
	}
	for u := 200; u < 900; u++ {
		buy(u, jan1+2*dayMS+1) // too late
	}
	for u := 900; u < 1000; u++ {
		buy(u, jan1) // not after the message
	}
	conversion, send, coupon := 0.04, 15.0, 5000.0
	res := play(t, &Config{
		Rules: write(t, "r.yaml", "rules:\n  - {name: view, on: product_view, send: {channel: push, class: ad, template: t}}\n"), Files: []string{write(t, "e.jsonl", b.String())},
		Partitions: 4, Goal: &rules.Goal{On: []string{"purchase"}, Within: 2 * dayMS},
		Assume: Assumptions{Conversion: &conversion, Basket: 100_000, SendCost: &send, CouponCost: &coupon},
	})
	i := res.Rules[0].Impact
	if i.Reached != 10_000 || i.Messages != 10_000 || *i.Converted != 200 || i.Rate != 0.02 {
		t.Errorf("impact %+v, converted %d", i, *i.Converted)
	}
	want := WhatIf{
		BuyersBefore: 200, BuyersAfter: 400, ValueBefore: 20_000_000, ValueAfter: 40_000_000,
		Cost: 10_000*15 + 400*5000, Net: 40_000_000 - 20_000_000 - 150_000 - 2_000_000,
	}
	if *i.WhatIf != want {
		t.Errorf("what if %+v, want %+v", *i.WhatIf, want)
	}
	var out bytes.Buffer
	res.Print(&out)
	for _, part := range []string{"2.00 %", "If 4.00 % of those reached converted", "20 000 000", "40 000 000", "17 850 000"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
}

const goalRules = `
experiments:
  coupon:
    arms: [{name: control, weight: 50}, {name: treatment, weight: 50}]
    goal: {on: purchase, where: event.revenue > 5.0, within: 1d, value: event.revenue}
rules:
  - name: cart
    on: cart
    wait: 1h
    experiment: coupon
    cost: {send: 2, coupon: 3}
    send: {channel: push, class: ad, template: t}
  - {name: none, on: cart, send: {channel: push, class: ad, template: t}}
`

// The goal, its value and the costs come from the rules.
func TestGoalOfTheExperiment(t *testing.T) {
	var b strings.Builder
	for u := range 100 {
		user := fmt.Sprintf("u%d", u)
		b.WriteString(line(3*u, "cart", user, jan1, ""))
		switch u % 3 {
		case 0:
			b.WriteString(line(3*u+1, "purchase", user, jan1+2*3_600_000, `,"revenue":10.0`))
			b.WriteString(line(3*u+2, "purchase", user, jan1+3*3_600_000, `,"revenue":90.0`))
		case 1:
			b.WriteString(line(3*u+1, "purchase", user, jan1+2*3_600_000, `,"revenue":5.0`)) // the goal's where
		}
	}
	conversion := 0.5
	var decisions bytes.Buffer
	c := Config{
		Rules: write(t, "r.yaml", goalRules), Files: []string{write(t, "e.jsonl", b.String())}, Decisions: &decisions,
		To: jan1 + 2*dayMS, Assume: Assumptions{Conversion: &conversion},
	}
	res := play(t, &c)
	sent, buyers := 0, 0
	for _, l := range strings.Split(strings.TrimSpace(decisions.String()), "\n") {
		var d struct{ Decision, Rule, User string }
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		if d.Rule == "cart" && d.Decision == "sent" {
			sent++
			if u, _ := strconv.Atoi(d.User[1:]); u%3 == 0 {
				buyers++
			}
		}
	}
	i := res.Rules[0].Impact
	if sent < 30 || sent > 70 || i.Reached != sent || *i.Converted != buyers || i.Worth != float64(10*buyers) {
		t.Errorf("impact %+v, converted %d; sent %d, buyers %d", i, *i.Converted, sent, buyers)
	}
	n := float64(sent)
	if want := (WhatIf{float64(buyers), n / 2, 10 * float64(buyers), 10 * n / 2, 2*n + 3*n/2, 10*n/2 - 10*float64(buyers) - 2*n - 3*n/2}); *i.WhatIf != want {
		t.Errorf("what if %+v, want %+v", *i.WhatIf, want)
	}
	if none := res.Rules[1].Impact; none.Converted != nil || none.WhatIf != nil || none.Reached != 100 {
		t.Errorf("the rule without a goal: %+v", none)
	}
}

// traffic makes up events of some users over some days, a few of them out of
// order, some repeated, some of them no events.
func traffic(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	last := ""
	at := jan1
	for i := range n {
		switch r.IntN(50) {
		case 0:
			b.WriteString("{broken\n")
			continue
		case 1:
			b.WriteString(last)
			continue
		case 2:
			b.WriteString(`{"id":"x","type":"cart","user":"u1"}` + "\n") // no time
			continue
		}
		at += r.Int64N(20 * 60_000)
		ms := at
		if r.IntN(20) == 0 {
			ms -= r.Int64N(3 * 3_600_000)
		}
		last = line(i, []string{"cart", "cart", "purchase", "view", "other"}[r.IntN(5)], fmt.Sprintf("u%d", r.IntN(60)), ms, `,"revenue":`+strconv.Itoa(r.IntN(20))+".5")
		b.WriteString(last)
	}
	return b.String()
}

const moreRules = `
metrics:
  carts: {count: cart, within: 2h}
experiments:
  x:
    arms: [{name: control, weight: 30}, {name: a, weight: 70}]
    goal: {on: purchase, within: 1d, value: event.revenue}
rules:
  - {name: left, on: cart, wait: 90m, restart: true, unless: [{on: purchase}], experiment: x, cooldown: 6h, send: {channel: push, class: ad, template: t}}
  - {name: many, on: [cart, view], when: carts >= 2, send: {channel: push, class: ad, template: t, data: {n: carts}}}
`

const otherRules = `
metrics:
  carts: {count: cart, within: 2h}
rules:
  - {name: left, on: cart, wait: 30m, unless: [{on: purchase}], send: {channel: push, class: ad, template: t}}
  - {name: new, on: view, when: carts >= 1, send: {channel: push, class: ad, template: t}}
`

// found is everything that a backtest says.
type found struct{ json, csv, compare, decisions, complaints, text string }

func findings(t *testing.T, c Config) found {
	t.Helper()
	var decisions, complaints, csv, compared, text bytes.Buffer
	c.Decisions, c.Complain = &decisions, func(err error) { fmt.Fprintln(&complaints, err) }
	res := play(t, &c)
	js, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.CSV(&csv); err != nil {
		t.Fatal(err)
	}
	if res.Compare != nil {
		if err := res.Compare.CSV(&compared); err != nil {
			t.Fatal(err)
		}
	}
	res.Print(&text)
	return found{string(js), csv.String(), compared.String(), decisions.String(), complaints.String(), text.String()}
}

func TestResultsDoNotDependOnParallelism(t *testing.T) {
	events := []string{write(t, "a.jsonl", traffic(1, 6000)), write(t, "b.jsonl", traffic(2, 3000))}
	for name, c := range map[string]Config{
		"as it is": {}, "bounded": {From: jan1 + dayMS, To: jan1 + 20*dayMS},
	} {
		c.Rules, c.Compare, c.Files, c.Partitions = write(t, "r.yaml", moreRules), write(t, "o.yaml", otherRules), events, 7
		c.Workers = 1
		alone := findings(t, c)
		if strings.Count(alone.decisions, "\n") < 500 || strings.Count(alone.complaints, "\n") < 100 {
			t.Fatalf("%s: little happens: %d decisions, %d complaints", name, strings.Count(alone.decisions, "\n"), strings.Count(alone.complaints, "\n"))
		}
		for _, workers := range []int{2, 3, 7, 50} {
			c.Workers = workers
			if got := findings(t, c); got != alone {
				t.Errorf("%s: %d workers find something else than one:\n%s\n%s", name, workers, got.text, alone.text)
			}
		}
	}
}

// The columns of the CSV add up to what the rules are said to have done.
func TestDaysAddUp(t *testing.T) {
	conversion := 0.25
	res := play(t, &Config{
		Rules: write(t, "r.yaml", moreRules), Files: []string{write(t, "a.jsonl", traffic(3, 4000))}, Partitions: 3,
		Complain: func(error) {}, Assume: Assumptions{Conversion: &conversion},
	})
	var out bytes.Buffer
	if err := res.CSV(&out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, r := range res.Rules {
		sum := func(name string) (total float64) {
			for _, row := range rows[1:] {
				if row[1] == r.Rule && row[column[name]] != "" {
					v, err := strconv.ParseFloat(row[column[name]], 64)
					if err != nil {
						t.Fatal(err)
					}
					total += v
				}
			}
			return total
		}
		for outcome, n := range r.Outcomes {
			if got := sum(outcome); got != float64(n) {
				t.Errorf("%s: the days have %g %s, the rule %d", r.Rule, got, outcome, n)
			}
		}
		if got := sum("users_reached"); got != float64(r.Impact.Reached) || got == 0 {
			t.Errorf("%s: the days reach %g, the rule %d", r.Rule, got, r.Impact.Reached)
		}
		if r.Impact.WhatIf == nil {
			continue
		}
		if got := sum("users_converted_anyway"); got != float64(*r.Impact.Converted) || got == 0 {
			t.Errorf("%s: the days convert %g, the rule %d", r.Rule, got, *r.Impact.Converted)
		}
		if got := sum("net"); math.Abs(got-r.Impact.WhatIf.Net) > 1e-6 {
			t.Errorf("%s: the days net %g, the rule %g", r.Rule, got, r.Impact.WhatIf.Net)
		}
	}
}

func TestFromAndTo(t *testing.T) {
	events := write(t, "e.jsonl", line(1, "view", "a", jan1-1, "")+line(2, "view", "b", jan1, "")+line(3, "view", "c", jan1+3_600_000-1, "")+
		line(4, "view", "d", jan1+2*3_600_000-1, "")+line(5, "view", "e", jan1+2*3_600_000, ""))
	c := Config{Rules: write(t, "r.yaml", testRules), Files: []string{events}, From: jan1, To: jan1 + 2*3_600_000}
	res := play(t, &c)
	// b and c are due before the end, d is not.
	if res.Events != 3 || res.Rules[0].Outcomes["sent"] != 2 || res.Pending != 1 {
		t.Errorf("events %d, outcomes %v, pending %d", res.Events, res.Rules[0].Outcomes, res.Pending)
	}
	c.To--
	if res := play(t, &c); res.Events != 2 || res.Rules[0].Outcomes["sent"] != 1 || res.Pending != 1 {
		t.Errorf("a millisecond earlier: events %d, outcomes %v, pending %d", res.Events, res.Rules[0].Outcomes, res.Pending)
	}
}

func TestCompare(t *testing.T) {
	events := line(1, "view", "both", jan1, "") + line(2, "view", "loses", jan1, "") + line(3, "cart", "gains", jan1, "") +
		line(4, "view", "twice", jan1, "") + line(5, "view", "twice", jan1+1, "") + line(6, "buy", "loses", jan1+1, "")
	const before = "rules:\n  - {name: hi, on: view, send: {channel: push, class: ad, template: t}}\n  - {name: gone, on: buy, send: {channel: push, class: ad, template: t}}\n"
	const after = "rules:\n  - {name: hi, on: [view, cart], where: event.user != 'loses', cooldown: 1h, send: {channel: push, class: ad, template: t}}\n"
	res := play(t, &Config{Rules: write(t, "a.yaml", before), Compare: write(t, "b.yaml", after), Files: []string{write(t, "e.jsonl", events)}})
	hi, gone := res.Compare.Rules[0], res.Compare.Rules[1]
	hi.changes, gone.changes = nil, nil
	for _, c := range []struct{ got, want RuleDiff }{
		{hi, RuleDiff{Rule: "hi", MessagesBefore: 4, MessagesAfter: 3, UsersBefore: 3, UsersAfter: 3, Gain: 1, Lose: 2, GainExamples: []string{"gains"}, LoseExamples: []string{"loses", "twice"}}},
		{gone, RuleDiff{Rule: "gone", MessagesBefore: 1, UsersBefore: 1, Lose: 1, LoseExamples: []string{"loses"}}},
	} {
		if fmt.Sprintf("%+v", c.got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("got %+v\nwant %+v", c.got, c.want)
		}
	}
	if a := res.Compare.All; a.MessagesBefore != 5 || a.MessagesAfter != 3 || a.Gain != 1 || a.Lose != 2 {
		t.Errorf("all %+v", a)
	}
	var out, text bytes.Buffer
	if err := res.Compare.CSV(&out); err != nil {
		t.Fatal(err)
	}
	if want := "rule,user,change,messages_before,messages_after\nhi,gains,gain,0,1\nhi,loses,lose,1,0\nhi,twice,lose,2,1\ngone,loses,lose,1,0\n"; out.String() != want {
		t.Errorf("CSV:\n%s", out.String())
	}
	res.Print(&text)
	if !strings.Contains(text.String(), "hi: more messages for gains\nhi: fewer messages for loses, twice\n") {
		t.Errorf("printed:\n%s", text.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestDecisionsThatCannotBeWritten(t *testing.T) {
	c := Config{
		Rules: write(t, "r.yaml", moreRules), Files: []string{write(t, "a.jsonl", traffic(1, 20_000))}, Partitions: 3,
		Decisions: brokenWriter{}, Complain: func(error) {},
	}
	if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "write decisions") {
		t.Errorf("error %v", err)
	}
}
