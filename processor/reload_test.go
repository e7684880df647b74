package processor_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/nudged/nudged/processor"
)

// Other rules come into force while events flow: each event is decided once, by
// the former rules or by the new ones, and by the new ones from the moment on at
// which every partition has been claimed under them.
func TestRulesChangeWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := immediate(3, 90)
		input := hold(sc, 0)
		claims := 0
		r := start(t, sc, func(r *running) {
			r.source.many = 2
			r.hooked.before = func(call string, _ processor.TopicPartition) error {
				if call == "claim" {
					r.log.mu.Lock()
					claims++
					r.log.mu.Unlock()
				}
				return nil
			}
		})
		feed := func(from, to int) {
			for p, recs := range input {
				r.source.append(inputPartition(int32(p)), recs[min(from, len(recs)):min(to, len(recs))]...)
			}
		}
		feed(0, 8)
		r.untilFinished(r.log.inputs()...)
		feed(8, 16) // may be decided by either
		changed := atOnce("a")
		changed.Name = "changed"
		r.pr.SetRules(theRules(changed), func() processor.Decoder { return textDecoder{} })
		r.until("all are claimed anew", func() bool {
			r.log.mu.Lock()
			defer r.log.mu.Unlock()
			return claims == 6
		})
		r.untilFinished(r.log.inputs()...)
		feed(16, 90)
		r.untilFinished(r.log.inputs()...)
		r.stop()

		decided := map[string]int{}
		for p, recs := range input {
			tp := inputPartition(int32(p))
			marks, messages := r.log.records(tp)
			k, _ := r.log.position(tp)
			if err := checkMarks(k, marks, false); err != nil {
				t.Error(err)
			}
			for i, m := range messages {
				if m.topic != "sends" {
					continue
				}
				decided[m.key]++
				rule, at := field1(m.value, "rule"), marks[i].Position
				if at < 8 && rule != "rule_0" || at >= 16 && rule != "changed" {
					t.Errorf("%s at offset %d is decided by the rule %s", m.key, at, rule)
				}
			}
			if len(recs) == 0 {
				t.Errorf("%s has no events", tp)
			}
		}
		for i := range 90 {
			if n := decided[fmt.Sprint("u", i)]; n != 1 {
				t.Errorf("u%d was sent to %d times", i, n)
			}
		}
	})
}
