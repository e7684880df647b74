package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The rule "reminder" of testdata/rules.yaml waits so long.
const reminderWait = 5 * time.Second

// event makes a record of the flat form.
func event(id, kind, user string, at time.Time) *kgo.Record {
	return &kgo.Record{
		Key:   []byte(user),
		Value: fmt.Appendf(nil, `{"id":%q,"type":%q,"user":%q,"time":%q}`, id, kind, user, at.UTC().Format(time.RFC3339Nano)),
	}
}

// decided waits until n decisions of a kind are visible, and returns them by
// user.
func (tl *tail) decided(kind string, n int) map[string]outcome {
	tl.t.Helper()
	byUser := map[string]outcome{}
	read := 0
	tl.until(fmt.Sprintf("%d decisions %q", n, kind), func() bool {
		for ; read < len(tl.records); read++ {
			o, err := parse(tl.records[read].Value)
			if err != nil {
				tl.t.Fatal(err)
			}
			if o.decision == kind {
				byUser[o.user] = o
			}
		}
		return len(byUser) >= n
	})
	return byUser
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// On the wall clock a partition that gets no more events fires what is due
// within a second, as the command itself tells.
func TestIdlePartitionFiresOnTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	d := start(t, "--config", w.config("testdata/rules.yaml", "wall"))
	d.untilReady(shopPartitions)

	const users = 40
	began := time.Now().Truncate(time.Millisecond)
	var carts []*kgo.Record
	for i := range users {
		// Spread over a second, up to now: what is due at different moments.
		at := began.Add(-time.Duration(i) * time.Second / users)
		carts = append(carts, event(fmt.Sprintf("c%d", i), "add_to_cart", fmt.Sprintf("user-%d", i), at))
	}
	w.put(carts...)
	sends := w.tail(w.sends)
	sent := sends.decided("sent", users)
	var latest, seen time.Duration
	for i := range users {
		o := sent[fmt.Sprintf("user-%d", i)]
		due, fired := instant(t, o.due), instant(t, o.fired)
		if want := began.Add(-time.Duration(i)*time.Second/users + reminderWait).Truncate(time.Millisecond); !due.Equal(want) {
			t.Errorf("%s: due %s, want %s", o.user, due, want)
		}
		late := fired.Sub(due)
		if late < 0 || late >= time.Second {
			t.Errorf("%s: due %s, fired %s, %s late", o.user, o.due, o.fired, late)
		}
		latest = max(latest, late)
	}
	for _, r := range sends.records {
		o, err := parse(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		seen = max(seen, r.Timestamp.Sub(instant(t, o.due)))
	}
	t.Logf("%d timers of 5 s: fired at most %s after due, handed to the broker at most %s after due", users, latest, seen)
	d.terminate()
	if n := len(w.committed(w.sends)); n != users {
		t.Errorf("%d sends, want %d", n, users)
	}
}

// outage is how long the daemon is down.
const outage = time.Minute

// While the daemon is down some buy what they were going to be reminded of, and
// all the reminders become due. Started again, it reads the purchases first:
// those who bought get none, the others get theirs.
func TestOutageIsReadBeforeTimersFire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	config := w.config("testdata/rules.yaml", "wall", "decisions: all")
	d := start(t, "--config", config)
	d.untilReady(shopPartitions)

	const users = 24 // every other one buys
	name := func(i int) string { return fmt.Sprintf("user-%d", i) }
	buys := func(i int) bool { return i%2 == 0 }
	began := time.Now()
	var carts []*kgo.Record
	for i := range users {
		carts = append(carts, event(fmt.Sprintf("c%d", i), "add_to_cart", name(i), began))
	}
	w.put(carts...)
	decisions := w.tail(w.decisions)
	decisions.decided("armed", users)
	d.terminate()
	stopped := time.Now()

	// The purchases lie behind much else, so that reading up to them takes time.
	var backlog []*kgo.Record
	for i := range 20_000 {
		backlog = append(backlog, event(fmt.Sprintf("w%d", i), "wishlist", fmt.Sprintf("other-%d", i%500), began.Add(time.Second)))
	}
	for i := range users {
		if buys(i) {
			backlog = append(backlog, event(fmt.Sprintf("p%d", i), "purchase", name(i), began.Add(2*time.Second)))
		}
	}
	w.put(backlog...)
	time.Sleep(time.Until(stopped.Add(outage))) // the outage itself

	restarted := time.Now()
	d = start(t, "--config", config)
	cancelled := decisions.decided("cancelled", users/2)
	sent := w.tail(w.sends).decided("sent", users/2)
	d.terminate()
	for i := range users {
		_, was := cancelled[name(i)]
		o, is := sent[name(i)]
		switch {
		case was != buys(i) || is == buys(i):
			t.Errorf("%s: buys %v, cancelled %v, sent %v", name(i), buys(i), was, is)
		case is && instant(t, o.fired).Before(restarted.Truncate(time.Millisecond)):
			t.Errorf("%s: fired %s, before the process was started again at %s", name(i), o.fired, restarted)
		}
	}
	if n := len(w.committed(w.sends)); n != users/2 {
		t.Errorf("%d sends, want %d", n, users/2)
	}
}
