package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/sinks"
)

const watchedRules = `
experiments:
  x:
    arms: [{name: control, weight: 20}, {name: treatment, weight: 80}]
    phase: PHASE
    guardrails:
      - {name: left, on: unsubscribe, within: 7d, max_percent: 2}
      - {name: angry, on: complaint, within: 7d, max_ratio: 1.5}
  unwatched: {arms: [{name: control, weight: 1}, {name: treatment, weight: 1}], goal: {on: buy, within: 1d}}
rules:
  - {name: a, on: go, experiment: x, auto_pause: true, send: {channel: push, class: ad, template: t}}
  - {name: b, on: go, experiment: x, auto_pause: true, send: {channel: push, class: ad, template: t}}
  - {name: c, on: go, experiment: x, send: {channel: push, class: ad, template: t}}
  - {name: d, on: go, experiment: unwatched, send: {channel: push, class: ad, template: t}}
`

func watchedSet(t testing.TB, phase string) *rules.Set {
	t.Helper()
	set, err := rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(strings.ReplaceAll(watchedRules, "PHASE", phase))}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// users are decisions of so many users: exposed in the arm, of whom some were hit.
func users(arm string, exposed int, hits map[string]int) [][]byte {
	var out [][]byte
	write := func(d rules.Decision) {
		d.Rule, d.Experiment, d.Phase, d.Arm = "a", "x", 1, arm
		out = append(out, sinks.AppendDecision(nil, &d, sinks.Origin{}))
	}
	outcome := rules.Sent
	if arm == "control" {
		outcome = rules.ControlArm
	}
	for i := range exposed {
		user := fmt.Sprint(arm, i)
		write(rules.Decision{Outcome: outcome, User: user, At: 1000, First: true})
		write(rules.Decision{Outcome: outcome, User: user, At: 2000}) // a second message
		write(rules.Decision{Outcome: rules.Cooldown, User: user, At: 2500})
		for name, n := range hits {
			if i < n {
				write(rules.Decision{Outcome: rules.GuardrailHit, User: user, At: 3000, Guardrail: name, Exposed: 1000})
			}
		}
	}
	return out
}

func tallyOf(t testing.TB, messages ...[]byte) *Tally {
	t.Helper()
	tally := &Tally{}
	tally.Begin("topic", map[int32]int64{0: 0})
	var d decisions.Decision
	for i, m := range messages {
		if err := d.Parse(m); err != nil {
			t.Fatal(err)
		}
		tally.Add(0, int64(i), &d)
	}
	return tally
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name               string
		control, treatment int
		controlHits, hits  map[string]int
		want               []string
	}{
		{"as it should be", 200, 800, map[string]int{"left": 4, "angry": 2}, map[string]int{"left": 15, "angry": 8}, nil},
		{"nobody", 0, 0, nil, nil, nil},
		{"sizes", 400, 800, nil, nil, []string{"sample_ratio: the arms have other sizes than intended: control has 400 of 1200 exposed users (33.33 %, intended 20.00 %), treatment has 800 of 1200 exposed users (66.67 %, intended 80.00 %)"}},
		{"a rate", 200, 800, nil, map[string]int{"left": 40}, []string{"guardrail left: left: 40 of 800 exposed users of treatment (5.00 %), above max_percent: 2"}},
		{"the control's rate is no fault of the messages", 200, 800, map[string]int{"left": 100}, nil, nil},
		{"against the control", 200, 800, map[string]int{"angry": 2}, map[string]int{"angry": 120}, []string{"guardrail angry: angry: 120 of 800 exposed users of treatment, 2 of 200 of control, above max_ratio: 1.5"}},
		{"as often in the control", 200, 800, map[string]int{"angry": 30}, map[string]int{"angry": 130}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := tallyOf(t, append(users("control", c.control, c.controlHits), users("treatment", c.treatment, c.hits)...)...)
			found, err := tally.Findings(watchedSet(t, "1"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Check+": "+f.Statement)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// Another phase has nothing to do with it.
			if found, err := tally.Findings(watchedSet(t, "2")); err != nil || len(found) != 0 {
				t.Errorf("in the next phase: %v, %v", found, err)
			}
		})
	}
}

// What is kept is what was counted.
func TestTallyIsKept(t *testing.T) {
	tally := tallyOf(t, users("treatment", 10, map[string]int{"left": 2})...)
	tally.Pause(Phase{"x", 1})
	kept, err := json.Marshal(tally)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseTally(kept)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tally, again, cmpopts.IgnoreUnexported(Tally{})); diff != "" {
		t.Errorf("-counted +kept:\n%s", diff)
	}
	again.Begin("topic", map[int32]int64{0: 0})
	if len(again.Counts) != 1 || again.Read[0].Next != 32 {
		t.Errorf("counted anew: %s", kept)
	}
	again.Begin("another topic", map[int32]int64{0: 0})
	if len(again.Counts) != 0 || again.Read[0].Next != 0 || len(again.Paused) != 1 {
		t.Errorf("the topic was created anew: %+v", again)
	}
	tally.Forget(watchedSet(t, "2"))
	if len(tally.Counts) != 0 || len(tally.Paused) != 1 {
		t.Errorf("after a new phase: %+v", tally)
	}
}

// Of users whose exposure is not in the topic any more, no hit is counted: there
// would be more hit than exposed.
func TestHitsOfTheForgottenAreNotCounted(t *testing.T) {
	tally := &Tally{}
	tally.Begin("topic", map[int32]int64{0: 500})
	var d decisions.Decision
	offset := int64(500)
	for _, m := range [][]rules.Decision{
		{{Outcome: rules.ControlArm, At: 5000, First: true}},
		{{Outcome: rules.GuardrailHit, At: 6000, Guardrail: "left", Exposed: 1000}, {Outcome: rules.GuardrailHit, At: 6001, Guardrail: "left", Exposed: 5000}},
	} {
		for _, one := range m {
			one.User, one.Experiment, one.Phase, one.Arm = "u", "x", 1, "treatment"
			if err := d.Parse(sinks.AppendDecision(nil, &one, sinks.Origin{})); err != nil {
				t.Fatal(err)
			}
			tally.Add(0, offset, &d)
			offset++
		}
	}
	if c := tally.Counts[0]; c.Exposed["treatment"] != 1 || c.Hits["left"]["treatment"] != 1 {
		t.Errorf("%+v", c)
	}
}

// stored is a memory.
type stored struct{ kept []byte }

func (s *stored) Load(context.Context) ([]byte, error) { return s.kept, nil }
func (s *stored) Save(_ context.Context, kept []byte) error {
	s.kept = kept
	return nil
}

var errCut = errors.New("cut")

// topic is a decisions topic of one partition.
type topic struct {
	records [][]byte
	holder  int    // who may announce
	fail    string // the next announcement: "before" or "after" it is there
}

func (p *topic) Extents(context.Context, bool) (Extents, error) {
	return Extents{"topic", map[int32]int64{0: 0}, map[int32]int64{0: int64(len(p.records))}}, nil
}

func (p *topic) Read(from map[int32]int64) (Reader, error) { return &reader{p, from[0]}, nil }

func (p *topic) Announcer(context.Context) (Announcer, error) {
	p.holder++
	return &announcer{p, p.holder}, nil
}

type reader struct {
	p  *topic
	at int64
}

func (r *reader) Next(context.Context) (out []Record, err error) {
	// In pieces, so that the ends of batches lie anywhere.
	for ; r.at < int64(len(r.p.records)) && len(out) < 7; r.at++ {
		out = append(out, Record{0, r.at, r.p.records[r.at], false})
	}
	return out, nil
}
func (r *reader) Close() {}

type announcer struct {
	p  *topic
	me int
}

func (a *announcer) Announce(_ context.Context, messages [][]byte) error {
	fail := a.p.fail
	a.p.fail = ""
	if a.me != a.p.holder || fail == "before" {
		return errCut
	}
	a.p.records = append(a.p.records, messages...)
	if fail == "after" {
		return errCut
	}
	return nil
}
func (a *announcer) Close() {}

func watcher(t testing.TB, p *topic, m Memory, looks int) (*Watcher, map[Phase]bool) {
	set, paused := watchedSet(t, "1"), map[Phase]bool{}
	return &Watcher{
		Topic: p, Memory: m, Set: func() *rules.Set { return set }, Logger: slog.New(slog.DiscardHandler), Every: time.Hour,
		Now:   func() int64 { return 9000 },
		Leads: func() bool { looks--; return looks >= 0 },
		Pause: func(all map[Phase]bool) {
			for p := range all {
				paused[p] = true
			}
		},
	}, paused
}

func announced(t testing.TB, p *topic) []string {
	var got []string
	for _, r := range p.records {
		var m sinks.Message
		if err := json.Unmarshal(r, &m); err != nil {
			t.Fatal(err)
		}
		if m.Decision == string(rules.AutoPaused) {
			got = append(got, fmt.Sprintf("%s %s %s", m.Rule, m.Experiment, m.Because["check"]))
		}
	}
	return got
}

// Each rule's pause is written once, wherever whoever counts is cut off, whatever
// memory has lost, and whoever still believes that he counts.
func TestPausesAreAnnouncedOnce(t *testing.T) {
	ctx := context.Background()
	bad := append(users("control", 200, nil), users("treatment", 800, map[string]int{"left": 60, "angry": 200})...)
	want := []string{`a x "guardrail left"`, `b x "guardrail left"`}
	for _, fail := range []string{"", "before", "after"} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("cut off %q, memory lost %t", fail, lost), func(t *testing.T) {
				p, m := &topic{records: bad, fail: fail}, &stored{}
				w, paused := watcher(t, p, m, 2)
				err := w.lead(ctx)
				if (err != nil) != (fail != "") {
					t.Fatalf("%v", err)
				}
				if fail == "" && !paused[Phase{"x", 1}] {
					t.Fatal("nothing is paused")
				}
				zombie := &announcer{p, p.holder}
				if lost {
					m.kept = nil
				}
				w, paused = watcher(t, p, m, 3)
				if err := w.lead(ctx); err != nil {
					t.Fatal(err)
				}
				if err := zombie.Announce(ctx, [][]byte{bad[0]}); err == nil {
					t.Error("who counted before may still write")
				}
				if !paused[Phase{"x", 1}] {
					t.Error("nothing is paused")
				}
				if diff := cmp.Diff(want, announced(t, p)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				// Who does not count learns it from memory, who starts from the topic.
				w, paused = watcher(t, p, m, 0)
				if err := w.follow(ctx); err != nil || !paused[Phase{"x", 1}] {
					t.Errorf("a follower knows of %v: %v", paused, err)
				}
				w, paused = watcher(t, p, &stored{}, 0)
				if err := w.Begin(ctx); err != nil || !paused[Phase{"x", 1}] {
					t.Errorf("at its start a process knows of %v: %v", paused, err)
				}
			})
		}
	}
}

// What comes while it counts is found as well; what is fine pauses nothing.
func TestNothingIsPausedWithoutReason(t *testing.T) {
	p, m := &topic{records: append(users("control", 200, nil), users("treatment", 800, map[string]int{"left": 15})...)}, &stored{}
	w, paused := watcher(t, p, m, 2)
	if err := w.lead(context.Background()); err != nil || len(paused) != 0 || len(announced(t, p)) != 0 {
		t.Errorf("%v, %v, %v", paused, announced(t, p), err)
	}
	if len(w.Alarms()) != 0 {
		t.Errorf("%v", w.Alarms())
	}
}

func TestPausedRules(t *testing.T) {
	names := func(rs []*rules.Rule) (out []string) {
		for _, r := range rs {
			out = append(out, r.Name)
		}
		return out
	}
	paused := map[Phase]bool{{"x", 1}: true, {"gone", 1}: true}
	if got := names(PausedRules(watchedSet(t, "1"), paused)); !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("paused: %v", got)
	}
	if got := names(PausedRules(watchedSet(t, "2"), paused)); len(got) != 0 {
		t.Errorf("paused in the next phase: %v", got)
	}
}
