package integration

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/experiment"
)

const effectRules = `
experiments:
  coupon:
    arms: [{name: control, weight: 30}, {name: treatment, weight: 70}]
    goal: {on: purchase, within: 3d, value: event.revenue}
    guardrails: [{name: left, on: unsubscribe, within: 1d, max_percent: 50}]
rules:
  - name: cart
    on: add_to_cart
    wait: 1h
    unless: [{on: purchase}]
    experiment: coupon
    auto_pause: true
    send: {channel: push, class: ad, template: cart}
`

// madeUpShop is a shop in which the message does what it is known to do.
type madeUpShop struct {
	events []shopEvent
	end    time.Time
	arms   map[string]*shopArm
	last   map[string]time.Time // exposure of each user who was exposed
}

type shopEvent struct {
	at      time.Time
	user    string
	id      int
	kind    string
	revenue int
}

// shopArm is what has to be found of an arm.
type shopArm struct{ Exposed, Converted, Value, Left int }

// The chance to buy in time after the message, or the moment in which it would
// have gone out.
var chances = map[string]float64{"control": 0.10, "treatment": 0.16}

func (e *shopEvent) json() []byte {
	text := fmt.Sprintf(`{"id":"e%d","type":"%s","user":"%s","time":"%s"`, e.id, e.kind, e.user, e.at.Format("2006-01-02T15:04:05.000Z"))
	if e.revenue > 0 {
		text += fmt.Sprintf(`,"revenue":%d`, e.revenue)
	}
	return []byte(text + "}")
}

// newMadeUpShop tells of users who come within twenty days.
func newMadeUpShop(t *testing.T, seed uint64, users int) *madeUpShop {
	t.Helper()
	const window = 72 * time.Hour
	random := rand.New(rand.NewPCG(seed, 0))
	assigner, err := experiment.Compile(&experiment.Experiment{Name: "coupon", Arms: []experiment.Arm{{Name: "control", Weight: 30}, {Name: "treatment", Weight: 70}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &madeUpShop{arms: map[string]*shopArm{"control": {}, "treatment": {}}, last: map[string]time.Time{}}
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	within := func(d time.Duration) time.Duration {
		return time.Duration(1+random.Int64N(d.Milliseconds())) * time.Millisecond
	}
	add := func(user, kind string, at time.Time, revenue int) {
		s.events = append(s.events, shopEvent{at, user, len(s.events), kind, revenue})
	}
	for i := range users {
		user := fmt.Sprintf("user-%d", i)
		a, err := assigner.Assign(user)
		if err != nil {
			t.Fatal(err)
		}
		arm := s.arms[a.Arm]
		cart := began.Add(within(20 * 24 * time.Hour))
		if random.IntN(10) == 0 {
			add(user, "purchase", cart.Add(-within(24*time.Hour)), 7) // before anything
		}
		add(user, "add_to_cart", cart, 0)
		if random.IntN(8) == 0 { // buys of himself: no message
			add(user, "purchase", cart.Add(within(59*time.Minute)), 9)
			continue
		}
		exposed := cart.Add(time.Hour)
		s.last[user] = exposed
		arm.Exposed++
		if random.Float64() < chances[a.Arm] {
			arm.Converted++
			for range 1 + random.IntN(2) {
				revenue := 10 + random.IntN(90)
				arm.Value += revenue
				after := within(window)
				if random.IntN(20) == 0 {
					after = window // the last moment
				}
				add(user, "purchase", exposed.Add(after), revenue)
			}
		} else if random.IntN(10) == 0 {
			add(user, "purchase", exposed, 11) // at the very moment of the message: not after it
		}
		if random.IntN(6) == 0 {
			after := within(5 * 24 * time.Hour)
			if random.IntN(3) == 0 {
				after = time.Millisecond // too late by that
			}
			add(user, "purchase", exposed.Add(window+after), 13)
		}
		if random.IntN(10) == 0 { // a second message is no exposure
			add(user, "add_to_cart", exposed.Add(window+30*time.Hour), 0)
		}
		if random.IntN(30) == 0 {
			arm.Left++
			add(user, "unsubscribe", exposed.Add(within(24*time.Hour)), 0)
			add(user, "unsubscribe", exposed.Add(25*time.Hour), 0)
		}
	}
	// The partitions' clocks stop at their last events.
	s.end = began.Add(40 * 24 * time.Hour)
	for i := range 400 {
		add(fmt.Sprintf("late-%d", i), "unsubscribe", s.end, 0)
	}
	slices.SortStableFunc(s.events, func(a, b shopEvent) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	return s
}

func (s *madeUpShop) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	for i := range s.events {
		out.Write(append(s.events[i].json(), '\n'))
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// effectReport is what is read of nudged report.
type effectReport struct {
	SRM  struct{ OK bool }
	Arms []struct {
		Name               string
		Exposed, Converted int
		ValueSum           float64 `json:"value_sum"`
	}
	Comparisons []struct {
		Verdict    string
		Conversion struct {
			CI            [2]float64
			AlwaysValidCI [2]float64 `json:"always_valid_ci"`
		}
	}
	Guardrails []struct {
		Name string
		Arms []struct {
			Name          string
			Exposed, Hits int
		}
	}
}

// A shop in which the message has a known effect goes through two processes, of
// which one is killed again and again: the report finds who was exposed in both
// arms at the moment of the message, who converted within the window and for how
// much, and the effect; the same, to the letter, as from a backtest of the shop.
func TestKnownEffectIsFoundWhateverIsKilled(t *testing.T) {
	t.Parallel()
	const partitions, rounds = 4, 5
	shop := newMadeUpShop(t, 11, 12_000)
	rules := writeFile(t, "rules.yaml", effectRules)
	w := newWorld(t, partitions, nil)
	config := w.config(rules, "event", smallCache)
	sends := w.tail(w.sends)
	random := rand.New(rand.NewPCG(11, 1))

	running := []*daemon{start(t, "--config", config), start(t, "--config", config)}
	for round := range rounds {
		from, to := round*len(shop.events)/rounds, (round+1)*len(shop.events)/rounds
		recs := make([]*kgo.Record, 0, to-from)
		for i := range shop.events[from:to] {
			e := &shop.events[from+i]
			recs = append(recs, &kgo.Record{Topic: w.events, Key: []byte(e.user), Value: e.json()})
		}
		w.put(recs...)
		if round == rounds-1 {
			break
		}
		// In the middle of what that brings about.
		sends.untilCount(len(sends.records) + 1 + random.IntN(500))
		who := random.IntN(2)
		running[who].kill()
		t.Logf("round %d: process %d killed with %d sends seen", round, who, len(sends.records))
		running[who] = start(t, "--config", config)
	}
	w.untilConsumed()
	for _, d := range running {
		d.terminate()
	}

	at := shop.end.Format(time.RFC3339)
	live := outputOf(t, program, "report", "coupon", "--config", config, "--at", at, "--format", "json")
	decisions := filepath.Join(t.TempDir(), "decisions.jsonl")
	outputOf(t, program, "backtest", "--rules", rules, "--input", shop.file(t), "--partitions", strconv.Itoa(partitions), "--decisions", decisions)
	history := outputOf(t, program, "report", "coupon", "--input", decisions, "--rules", rules, "--at", at, "--format", "json")
	if string(live) != string(history) {
		t.Errorf("with kills\n%s\nwithout\n%s", live, history)
	}

	var r effectReport
	if err := json.Unmarshal(live, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Arms) != 2 || len(r.Comparisons) != 1 || len(r.Guardrails) != 1 || !r.SRM.OK {
		t.Fatalf("%s", live)
	}
	for i, a := range r.Arms {
		want := shop.arms[a.Name]
		got := shopArm{a.Exposed, a.Converted, int(a.ValueSum), r.Guardrails[0].Arms[i].Hits}
		if got != *want || r.Guardrails[0].Arms[i].Name != a.Name || r.Guardrails[0].Arms[i].Exposed != want.Exposed {
			t.Errorf("%s: found %+v, planted %+v", a.Name, got, *want)
		}
	}
	truth := chances["treatment"] - chances["control"]
	c := r.Comparisons[0]
	for what, ci := range map[string][2]float64{"interval": c.Conversion.CI, "always-valid interval": c.Conversion.AlwaysValidCI} {
		if truth < ci[0] || truth > ci[1] {
			t.Errorf("the %s %v does not hold the true effect %v", what, ci, truth)
		}
	}
	if c.Verdict != "better" {
		t.Errorf("the verdict is %s", c.Verdict)
	}
	shop.requireExposures(t, w)
}

// requireExposures asks for the moment of each user's exposure.
func (s *madeUpShop) requireExposures(t *testing.T, w *world) {
	t.Helper()
	first := map[string]string{}
	for _, r := range w.committed(w.decisions) {
		var m struct {
			User, Decision, Fired string
			First                 bool `json:"first_exposure"`
		}
		if err := json.Unmarshal(r.Value, &m); err != nil {
			t.Fatal(err)
		}
		if m.First {
			if first[m.User] != "" || m.Decision != "sent" && m.Decision != "control" {
				t.Errorf("%s is exposed by %s at %s, after %q", m.User, m.Decision, m.Fired, first[m.User])
			}
			first[m.User] = m.Fired
		}
	}
	if len(first) != len(s.last) {
		t.Errorf("%d users are exposed, want %d", len(first), len(s.last))
	}
	wrong := 0
	for user, at := range s.last {
		if got, err := time.Parse(time.RFC3339, first[user]); err != nil || !got.Equal(at) {
			if wrong++; wrong < 5 {
				t.Errorf("%s is exposed at %q, want %s", user, first[user], at)
			}
		}
	}
}
