package rules_test

import (
	"testing"

	"github.com/nudged/nudged/rules"
)

const scheduledRules = `
attributes:
  age: {type: int, from: event.age, on: profile}
metrics:
  last_buy: {last: buy}
audiences:
  grown: user.age >= 20
rules:
  - name: daily
    schedule: {cron: "0 9 * * *"}
    audience: grown
    when: user.age != 50
    expire_after: 6h
    send: {channel: push, class: transactional, template: t, data: {now: now, id: trigger.id, type: trigger.type, time: trigger.time}}
  - name: series
    schedule: {at: "2026-01-02T09:00", timezone: Asia/Seoul}
    unless: [{on: buy}]
    steps:
      - wait: 1d
      - send: {channel: push, class: transactional, template: t}
`

// One occurrence starts one run of who is in the audience as of then.
func TestSweep(t *testing.T) {
	at := "0s profile age=30\n"
	runAll(t, scheduledRules, []scenario{
		{
			name: "who is in the audience", script: at + "9h sweep daily",
			want: `9h daily sent now=9h id=schedule/2026-01-01T09:00:00Z type=schedule time=9h`,
		},
		{name: "who is not", script: "0s profile age=19\n 9h sweep daily", want: ``},
		{name: "of whom that is not known", script: "0s buy\n 9h sweep daily", want: ``},
		{name: "once for each occurrence", script: at + "9h sweep daily\n 9h sweep daily\n 33h sweep daily\n 9h sweep daily", want: `
			9h daily sent now=9h id=schedule/2026-01-01T09:00:00Z type=schedule time=9h
			1d9h daily sent now=1d9h id=schedule/2026-01-02T09:00:00Z type=schedule time=1d9h`},
		{
			name: "late, at the reading of the clock", script: at + "9h sweep daily at=15h",
			want: `15h daily sent now=9h id=schedule/2026-01-01T09:00:00Z type=schedule time=9h`,
		},
		{name: "too late", script: at + "9h sweep daily at=15h1ms", want: `15h1ms daily expired`},
		{
			name: "driven by the clock, a false condition is told", script: "0s profile age=50\n 9h sweep daily",
			want: `9h daily condition because user.age=50`,
		},
		{name: "a run that waits is told, and goes on by the clock", script: at + "1d sweep series\n 9d clock", want: `
			1d series armed
			2d series sent`},
		{name: "and ends as others do", script: at + "1d sweep series\n 36h buy\n 9d clock", want: `
			1d series armed
			1d12h series cancelled`},
		{name: "while it is pending none is started", script: at + "1d sweep series\n 36h sweep series\n 9d clock\n 9d sweep series\n 20d clock", want: `
			1d series armed
			2d series sent
			9d series armed
			10d series sent`},
		{name: "a month after the occurrence nobody is started any more", script: "39d8h profile age=30\n 9h sweep daily\n 9d9h sweep daily", want: `
			9d9h daily sent now=9d9h id=schedule/2026-01-10T09:00:00Z type=schedule time=9d9h`},
	})
}

// Coordinates of a scheduled run; they are stored in a few bytes.
func TestScheduledTrigger(t *testing.T) {
	set := compile(t, scheduledRules)
	p := play(t, set, "0s profile age=30\n 1d sweep series", false)
	empty := play(t, set, "0s profile age=30", false)
	if more := len(p.state.Append(nil, set)) - len(empty.state.Append(nil, set)); more > 28 {
		t.Errorf("a pending run of a schedule takes %d bytes", more)
	}
	out := rules.Result{}
	set.Step(decoded(t, p.state.Append(nil, set)), "u1", rules.Input{Until: start + 2*day}, &out)
	if len(out.Decisions) != 1 {
		t.Fatalf("%+v", out.Decisions)
	}
	d := out.Decisions[0]
	if d.Trigger.ID != "schedule/2026-01-02T00:00:00Z" || d.TriggerType != "schedule" || d.Trigger.Partition != 1 || d.Trigger.Offset != -1 || d.Trigger.Time != start+day {
		t.Errorf("the trigger is %+v of type %s", d.Trigger, d.TriggerType)
	}
	// The rule gone, the instance ends; its type is known all the same.
	gone := compile(t, `rules: [{name: r, on: go, send: {{send}}}]`).WithNames(set.Names())
	out.Reset()
	gone.Step(decoded(t, p.state.Append(nil, set)), "u1", rules.Input{Until: start + 2*day}, &out)
	if len(out.Decisions) != 1 || out.Decisions[0].Outcome != rules.RuleRemoved || out.Decisions[0].TriggerType != "schedule" {
		t.Errorf("%+v", out.Decisions)
	}
}

func TestNextSchedule(t *testing.T) {
	set := compile(t, `
rules:
  - {name: late, schedule: {cron: "0 12 * * *"}, send: {{send}}}
  - {name: low, schedule: {cron: "0 9 * * *"}, priority: -1, send: {{send}}}
  - {name: once, schedule: {at: "2026-01-02T09:00"}, send: {{send}}}
  - {name: other, on: go, send: {{send}}}
`)
	if got := len(set.Scheduled()); got != 3 {
		t.Errorf("%d rules have schedules", got)
	}
	for _, c := range []struct {
		after, want int64
		rules       []string
	}{
		{0, 9 * hour, []string{"low"}},
		{9*hour - 1, 9 * hour, []string{"low"}},
		{9 * hour, 12 * hour, []string{"late"}},
		{12 * hour, 33 * hour, []string{"once", "low"}},
		{40 * day, 40*day + 9*hour, []string{"low"}},
	} {
		occurring, at, ok := set.NextSchedule(start + c.after)
		var names []string
		for _, r := range occurring {
			names = append(names, r.Name)
		}
		if !ok || at != start+c.want || !equal(names, c.rules) {
			t.Errorf("after %s: %v at %s, want %v at %s", offset(c.after), names, offset(at-start), c.rules, offset(c.want))
		}
	}
	none := compile(t, `rules: [{name: past, schedule: {at: "2025-01-01T00:00"}, send: {{send}}}]`)
	if occurring, _, ok := none.NextSchedule(start); ok || len(occurring) != 0 {
		t.Errorf("a schedule in the past occurs: %v", occurring)
	}
}
