package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

const tellRules = `
attributes:
  age: {type: int, from: event.age, on: signup}
  never: {type: string, from: event.never, on: signup}
metrics:
  views: {count: view, by: event.item, within: 1d}
  spent: {sum: event.price, on: purchase}
  last_buy: {last: purchase}
experiments:
  x:
    arms: [{name: a, weight: 1}]
    goal: {on: purchase, within: 1d}
rules:
  - {name: at_once, on: view, cooldown: 1h, experiment: x, send: {channel: push, class: ad, template: t}}
  - name: series
    on: signup
    unless: [{on: leave, where: event.why == "all"}]
    when: spent > 1.0
    steps:
      - wait: 1h
      - wait_for: {on: click, where: event.where == "mail", within: 2h}
        then: []
        else: [{send: {channel: sms, class: ad, template: second}}]
        unless: [{on: purchase}]
  - {name: sleeps, on: signup, wait: 1h, paused: true, send: {channel: push, class: ad, template: s, data: {age: trigger.age}}}
  - {name: gone, on: signup, key: event.age, wait: 3d, send: {channel: push, class: ad, template: t}}
`

// told applies events to a user's state and tells of it.
func told(t *testing.T, set, later *rules.Set, now int64, events ...string) rules.Known {
	t.Helper()
	dec := decode.New(set, input.Mapping{})
	var st rules.State
	var res rules.Result
	for _, text := range events {
		var ev rules.Event
		if err := dec.Decode(&ev, []byte(text)); err != nil {
			t.Fatal(err)
		}
		set.Step(&st, ev.User, rules.Input{Until: ev.Time}, &res)
		set.Step(&st, ev.User, rules.Input{Event: &ev}, &res)
	}
	var back rules.State
	if err := back.Decode(st.Append(nil, set)); err != nil {
		t.Fatal(err)
	}
	return later.Tell(&back, "u", now)
}

func compiled(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, err := rulefile.Parse([]rulefile.File{{Name: "r.yaml", Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTell(t *testing.T) {
	set := compiled(t, tellRules)
	edited := compiled(t, tellRules[:strings.Index(tellRules, "  - {name: gone")]).WithNames(set.Names())
	const hour = int64(3_600_000)
	k := told(t, set, edited, 90*60_000,
		`{"id":"1","type":"signup","user":"u","time":"1970-01-01T00:00:00Z","age":30}`,
		`{"id":"2","type":"view","user":"u","time":"1970-01-01T00:10:00Z","item":"a"}`,
		`{"id":"3","type":"view","user":"u","time":"1970-01-01T00:20:00Z","item":"b"}`,
		`{"id":"4","type":"purchase","user":"u","time":"1970-01-01T00:30:00Z","price":2.5}`,
		`{"id":"5","type":"view","user":"u","time":"1970-01-01T01:30:00Z","item":"c"}`)
	if k.Newest != 90*60_000 {
		t.Errorf("newest %d", k.Newest)
	}
	if len(k.Attributes) != 1 || k.Attributes[0].Name != "age" || k.Attributes[0].Value.Int() != 30 {
		t.Errorf("attributes %+v", k.Attributes)
	}
	if m := k.Metrics; len(m) != 3 || m[0].Value.Int() != 3 || m[1].Value.Float() != 2.5 || m[2].Value != rules.TimeValue(30*60_000) {
		t.Errorf("metrics %+v", m)
	}
	if len(k.Sends) != 1 || k.Sends[0] != (rules.KnownSend{Rule: "at_once", At: 90 * 60_000}) {
		t.Errorf("sends %+v", k.Sends)
	}
	if want := (rules.KnownExposure{Experiment: "x", Phase: 1, Rule: "at_once", Arm: "a", At: 10 * 60_000, Converted: true}); len(k.Exposures) != 1 || !cmp.Equal(k.Exposures[0], want) {
		t.Errorf("exposures %+v", k.Exposures)
	}
	pending := map[string]rules.KnownInstance{}
	for _, p := range k.Pending {
		pending[p.Rule] = p
		if p.Trigger.ID != "1" || p.TriggerType != "signup" {
			t.Errorf("%s: trigger %+v %s", p.Rule, p.Trigger, p.TriggerType)
		}
	}
	if len(pending) != 3 {
		t.Fatalf("pending %+v", k.Pending)
	}
	series := pending["series"]
	if series.Op.Kind != rules.OpWaitFor || series.Due != 3*hour || series.Decides != 3*hour || series.Send.Template != "second" || series.WhenText != "spent > 1.0" ||
		series.Op.For.Text != `event.where == "mail"` {
		t.Errorf("series %+v", series)
	}
	if u := series.Unless; len(u) != 2 || u[0].Text != `event.why == "all"` || u[0].On[0] != "leave" || u[1].On[0] != "purchase" || u[1].Text != "" {
		t.Errorf("ends of the series %+v", u)
	}
	if p := pending["sleeps"]; !p.Paused || p.Due != hour || len(p.Fields) != 1 || p.Fields[0].Name != "age" || p.Fields[0].Value.Int() != 30 {
		t.Errorf("paused %+v", p)
	}
	if p := pending["gone"]; !p.Removed || p.Key != "30" || p.Op != nil || p.Due != 72*hour || p.Decides != p.Due {
		t.Errorf("removed %+v", p)
	}
}

// Of a user never seen there is nothing to tell.
func TestTellOfNothing(t *testing.T) {
	k := compiled(t, tellRules).Tell(&rules.State{}, "u", 5)
	if k.Newest != 0 || len(k.Attributes)+len(k.Sends)+len(k.Exposures)+len(k.Pending) != 0 || len(k.Metrics) != 3 ||
		k.Metrics[0].Value.Int() != 0 || k.Metrics[2].Value.Present() {
		t.Errorf("told %+v", k)
	}
}
