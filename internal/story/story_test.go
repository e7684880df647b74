package story

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/sinks"
)

const (
	jan1 = int64(1_767_225_600_000) // 2026-01-01T00:00:00Z
	hour = int64(3_600_000)
	day  = 24 * hour
)

// Every outcome has words of its own.
func TestWhy(t *testing.T) {
	m := sinks.Message{
		Experiment: "x", Arm: "b", Channel: "push", Class: "ad", Template: "t", Expires: "2026-01-02T00:00:00Z", Due: "2026-01-01T00:00:00Z",
		Because: map[string]json.RawMessage{"orders": json.RawMessage("1"), "age": json.RawMessage("null")}, Value: json.RawMessage("12.5"), Again: true,
	}
	words := map[string]rules.Outcome{}
	for outcome, want := range map[rules.Outcome]string{
		rules.Sent: `sent push "t" (arm b of x)`, rules.ControlArm: "control group of x", rules.HeldOut: "holdout", rules.Excluded: "outside of the experiment x",
		rules.Condition: "(when) did not hold: age is not known, orders is 1", rules.Cooldown: "not over: age is not known, orders is 1", rules.NoConsent: "no consent to messages of class ad",
		rules.Quiet: "not sent: quiet hours of the class ad", rules.Deferred: "put off: quiet hours", rules.Capped: "cap", rules.Expired: "stale from 2026-01-02",
		rules.Cancelled: "unless", rules.RuleRemoved: "rule is gone", rules.Armed: "due 2026-01-01", rules.Converted: "goal of x once more (arm b), worth 12.5",
	} {
		m.Decision = string(outcome)
		got := Why(&m)
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", outcome, got, want)
		}
		if other, twice := words[got]; twice {
			t.Errorf("%s and %s have the same words: %q", outcome, other, got)
		}
		words[got] = outcome
	}
}

func TestSpan(t *testing.T) {
	for want, ms := range map[string]int64{"0s": 0, "7d": 7 * day, "1d12h": 36 * hour, "1h1ms": hour + 1, "90d": 90 * day, "2m30s": 150_000} {
		if got := Span(ms); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
	for want, ms := range map[string]int64{"now": 999, "in 1s": 1000, "in 2d3h": 2*day + 3*hour + 59_000, "1h ago": -hour, "in 1d5m": day + 300_000} {
		if got := apart(jan1+ms, jan1); got != want {
			t.Errorf("%d ms from now: %s, want %s", ms, got, want)
		}
	}
}

func TestValuesAreJSON(t *testing.T) {
	for want, v := range map[string]rules.Value{
		"null": {}, "true": rules.BoolValue(true), "3": rules.IntValue(3), "2.5": rules.FloatValue(2.5), `"a\"b\u0001"`: rules.StringValue("a\"b\x01"),
		`"2026-01-01T00:00:00Z"`: rules.TimeValue(jan1), `[1]`: rules.JSONValue("[1]"), `"NaN"`: rules.FloatValue(math.NaN()),
	} {
		if got := string(raw(v)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func account() *Account {
	a := NewAccount("u1", jan1+2*day)
	trigger := rules.Trigger{ID: "e1", Time: jan1, Partition: 3, Offset: 7}
	wait := rules.KnownInstance{
		Rule: "cart", Key: "k1", Op: &rules.Op{Kind: rules.OpWait}, Due: jan1 + 7*day, Decides: jan1 + 7*day,
		Send: &rules.Send{Channel: "push", Template: "c10"}, WhenText: "orders == 0", Trigger: trigger, TriggerType: "add_to_cart",
		Unless: []*rules.Unless{{On: []string{"purchase"}, Text: "event.cart == trigger.cart"}, {On: []string{"*"}}}, Fields: []rules.Datum{{Name: "cart", Value: rules.StringValue("k1")}},
	}
	waitFor := wait
	waitFor.Rule, waitFor.Key, waitFor.Unless, waitFor.WhenText = "series", "", nil, ""
	waitFor.Op = &rules.Op{Kind: rules.OpWaitFor, For: &rules.WaitFor{On: []string{"click", "open"}, Text: "event.x == 1"}}
	waitFor.Due, waitFor.Decides = jan1+3*day, jan1+4*day
	off := wait
	off.Rule, off.Op, off.Due, off.Decides, off.Paused, off.Unless = "night", &rules.Op{Kind: rules.OpSend}, jan1+2*day+8*hour, jan1+2*day+8*hour, true, nil
	gone := rules.KnownInstance{Rule: "old", Removed: true, Due: jan1 + 5*day, Trigger: trigger, TriggerType: "add_to_cart"}
	last := wait
	last.Rule, last.Send, last.Decides, last.Unless = "over", nil, 0, nil
	k := rules.Known{
		Newest: jan1 + day, Attributes: []rules.Datum{{Name: "age", Value: rules.IntValue(30)}},
		Metrics: []rules.KnownMetric{
			{Metric: &rules.Metric{Name: "orders", Kind: rules.Count, On: []string{"purchase"}, Within: 30 * day}, Value: rules.IntValue(1)},
			{Metric: &rules.Metric{Name: "last_order", Kind: rules.Last, On: []string{"*"}}},
			{Metric: &rules.Metric{Name: "views", Kind: rules.Count, On: []string{"view", "search"}, Keyed: true, Within: day}, Value: rules.IntValue(2)},
		},
		Sends:     []rules.KnownSend{{Rule: "cart", At: jan1 - day}},
		Exposures: []rules.KnownExposure{{Experiment: "coupon", Phase: 1, Rule: "cart", Arm: "b", At: jan1 - day, Converted: true}, {Experiment: "older", Phase: 2, Over: true}},
		Pending:   []rules.KnownInstance{wait, waitFor, off, gone, last},
	}
	a.Know("events", 3, true, &k, "")
	a.Know("more", 0, false, &rules.Known{}, "")
	message := func(rule, decision string, at int64) sinks.Message {
		return sinks.Message{
			Rule: rule, User: "u1", Decision: decision, Channel: "push", Class: "ad", Template: "c10", Trigger: sinks.Trigger{ID: "e" + decision, Type: "add_to_cart", Time: stamp(jan1 - day)},
			Due: stamp(at), Fired: stamp(at),
		}
	}
	at := message("hello", "cooldown", jan1-day)
	then := message("cart", "converted", jan1+hour)
	then.Experiment, then.Trigger = "coupon", sinks.Trigger{ID: "e9", Type: "purchase", Time: stamp(jan1 + hour)}
	// Written a tenth of a second apart: their texts do not sort by time.
	a.Decide([]sinks.Message{then, message("cart", "condition", jan1+hour+100), message("cart", "sent", jan1), at})
	return a
}

func TestAccount(t *testing.T) {
	golden(t, "account.txt", account())
	a := account()
	for i, want := range []string{"cooldown", "sent", "converted", "condition"} {
		if a.Decisions[i].Decision != want {
			t.Errorf("decision %d is %s, want %s", i, a.Decisions[i].Decision, want)
		}
	}
	if b, err := json.Marshal(a); err != nil || !strings.Contains(string(b), `"orders","value":1,"words":"count of purchase in the last 30d"`) {
		t.Errorf("JSON %s, %v", b, err)
	}
}

func TestAccountOfThePast(t *testing.T) {
	a := account()
	a.AsOf, a.asOf = stamp(jan1+hour), jan1+hour
	a.Since()
	golden(t, "past.txt", a)
}

func TestAccountWithEvents(t *testing.T) {
	a := NewAccount("u2", jan1)
	a.Events = []Happened{{string(eventtime.AppendRFC3339(nil, jan1-100)), `search "tent"`}, {stamp(jan1 - hour), "signup"}}
	a.Decide([]sinks.Message{{Rule: "help", Decision: "sent", Channel: "push", Template: "h", Trigger: sinks.Trigger{Type: "search", Time: stamp(jan1 - 100)}, Due: stamp(jan1 - 100), Fired: stamp(jan1 - 100)}})
	golden(t, "events.txt", a)
	golden(t, "nothing.txt", NewAccount("u3", jan1))
}

// golden compares what is printed with testdata; REWRITE=1 writes it anew.
func golden(t *testing.T, name string, a *Account) {
	t.Helper()
	var b strings.Builder
	a.Print(&b)
	path := "testdata/" + name
	if os.Getenv("REWRITE") == "1" {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s: printed\n%s\nwant\n%s", name, b.String(), want)
	}
}
