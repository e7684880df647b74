package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Beside the rules of the experiment stands one that nothing pauses: when its
// messages to some users are there, what the others would have sent to them is
// as well.
const autoPauseRules = `
experiments:
  coupon:
    arms: [{name: control, weight: 30}, {name: treatment, weight: 70}]
    phase: PHASE
    guardrails: [{name: left, on: unsubscribe, within: 1d, max_percent: 2}]
rules:
  - {name: at_once, on: go, experiment: coupon, auto_pause: true, send: {channel: push, class: ad, template: t}}
  - {name: waits, on: go, wait: 2s, experiment: coupon, auto_pause: true, send: {channel: push, class: ad, template: t}}
  - {name: probe, on: go, send: {channel: push, class: ad, template: t}}
  - {name: late_probe, on: go, wait: 4s, send: {channel: push, class: ad, template: t}}
`

// pausing is a run in which a guardrail pauses rules.
type pausing struct {
	*world
	decisions *tail
}

// go sends events of users who have not been there.
func (p *pausing) goes(name string, n int) {
	var recs []*kgo.Record
	for i := range n {
		user := fmt.Sprintf("%s-%d", name, i)
		recs = append(recs, event("go-"+user, "go", user, time.Now()))
	}
	p.put(recs...)
}

// decided counts the decisions of a rule on users of a name.
func (p *pausing) decided(rule, name string, decisions ...string) (n int) {
	for _, r := range p.decisions.records {
		var m struct{ Rule, User, Decision string }
		if err := json.Unmarshal(r.Value, &m); err != nil {
			p.t.Fatal(err)
		}
		for _, d := range decisions {
			if m.Decision == d && m.Rule == rule && strings.HasPrefix(m.User, name) {
				n++
			}
		}
	}
	return n
}

func (p *pausing) until(what string, n int, rule, name string, decisions ...string) {
	p.t.Helper()
	read, have := -1, 0
	p.decisions.until(what, func() bool {
		if len(p.decisions.records) != read {
			read, have = len(p.decisions.records), p.decided(rule, name, decisions...)
		}
		return have >= n
	})
}

// A guardrail past its limit pauses the rules that ask for it: once, in all
// processes, whichever of them is killed and started again. With a new phase they
// go on, and what waits fires.
func TestGuardrailPausesRules(t *testing.T) {
	t.Parallel()
	const partitions, users = 4, 400
	dir := t.TempDir()
	write := func(phase string) {
		t.Helper()
		path := filepath.Join(dir, "rules.yaml")
		if err := os.WriteFile(path+".new", []byte(strings.ReplaceAll(autoPauseRules, "PHASE", phase)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	p := &pausing{world: newWorld(t, partitions, nil)}
	config := p.config(dir, "wall")
	p.decisions = p.tail(p.world.decisions)
	running := []*daemon{start(t, "--config", config), start(t, "--config", config)}

	p.goes("first", users)
	p.until("exposures", users, "at_once", "first", "sent", "control")
	p.until("exposures", users, "waits", "first", "sent", "control")
	var gone []*kgo.Record
	for i := range users / 2 {
		user := fmt.Sprintf("first-%d", i)
		gone = append(gone, event("un-"+user, "unsubscribe", user, time.Now()))
	}
	p.put(gone...)
	p.until("a pause", 1, "at_once", "", "auto_paused")
	p.until("a pause", 1, "waits", "", "auto_paused")
	for _, d := range running {
		eventually(t, "the pause is known", func() bool { return strings.Contains(d.said(), "rules are paused by auto_pause") })
		eventually(t, "the pause is in force", func() bool {
			return strings.Count(d.said(), "partition goes on under new rules") > 0
		})
	}
	silent := func(name string, probes string) {
		t.Helper()
		p.goes(name, users)
		p.until("what is not paused", users, "probe", name, "sent")
		p.until("what is not paused", users, probes, name, "sent")
		for _, rule := range []string{"at_once", "waits"} {
			if n := p.decided(rule, name, "sent", "control"); n != 0 {
				t.Errorf("%s: %d messages of the paused rule %s", name, n, rule)
			}
		}
	}
	silent("second", "late_probe")

	// Whoever counts is killed, then the other one; who starts anew knows of it.
	for i := range running {
		running[i].kill()
		running[i] = start(t, "--config", config)
	}
	silent("third", "late_probe")

	write("2")
	p.until("what has waited", 2*users, "waits", "", "sent", "control")
	p.goes("fourth", users)
	p.until("messages again", users, "at_once", "fourth", "sent", "control")
	for _, name := range []string{"second", "third"} {
		p.until("what has waited", users, "waits", name, "sent", "control")
		if n := p.decided("at_once", name, "sent", "control"); n != 0 {
			t.Errorf("%d messages of at_once to users who came while it was paused", n)
		}
	}
	for _, d := range running {
		d.terminate()
	}
	p.decisions = p.tail(p.world.decisions)
	p.decisions.records = p.committed(p.world.decisions)
	for _, rule := range []string{"at_once", "waits"} {
		if n := p.decided(rule, "", "auto_paused"); n != 1 {
			t.Errorf("%s was paused %d times", rule, n)
		}
	}
}
