package rules_test

import (
	"bytes"
	"testing"

	"github.com/nudged/nudged/rules"
)

// Whatever bytes come back from storage: no panic, and what is taken for a state
// can be stored, read and stepped.
func FuzzDecode(f *testing.F) {
	set := compile(f, everythingRules)
	for _, script := range []string{
		"",
		"0s profile text=gold n=7 flag=true",
		"0s a text=k1 n=5 items=[1]\n1s a text=k2\n2s unnamed n=1\n3s b text=k1 n=2",
		"0s b text=k1 n=5\n1s b text=k1 n=5\n20s a n=2.5\n40s a\n60s clock",
		"0s profile n=1 flag=true text=9s\n1s a text=k1 n=3\n9s a text=k2 n=2\n60s sweep hourly\n61s sweep waiting\n70s b n=2 text=k1",
		"0s b flag=true text=Asia/Seoul n=2\n70s a text=k1 n=2\n71s profile n=7\n80s clock\n99s b n=3 text=k1",
	} {
		f.Add(play(f, set, script, true).state.Append(nil, set))
	}
	f.Add(decodedWithMany(f, set))
	for _, state := range statesOfVersion1(f) {
		f.Add(state)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		st := &rules.State{}
		if err := st.Decode(blob); err != nil {
			if got := st.Append(nil, set); !bytes.Equal(got, emptyState(set)) {
				t.Fatalf("after the error %q the state is %x", err, got)
			}
			return
		}
		first := st.Append(nil, set)
		again := &rules.State{}
		if err := again.Decode(first); err != nil {
			t.Fatalf("%x was stored as %x, which cannot be read: %v", blob, first, err)
		}
		second := again.Append(nil, set)
		if err := again.Decode(second); err != nil {
			t.Fatalf("%x was stored as %x, which cannot be read: %v", first, second, err)
		}
		var out rules.Result
		set.Step(again, "u1", rules.Input{Event: event(set, "x", "a", start, "text=k1", "n=9")}, &out)
		set.Step(again, "u1", rules.Input{Until: start + day}, &out)
		set.Step(again, "u1", rules.Input{Sweep: set.Scheduled()[0], Until: start + 2*day}, &out)
		again.NextDue(set)
		again.EmptyFrom(set)
		if err := st.Decode(again.Append(nil, set)); err != nil {
			t.Fatalf("after two steps it cannot be read: %v", err)
		}
	})
}

// decodedWithMany is a state with folded counts.
func decodedWithMany(t testing.TB, set *rules.Set) []byte {
	st := &rules.State{}
	for i := range 400 {
		var out rules.Result
		e := event(set, string(rune('a'+i%26))+string(rune('a'+i/26)), "a", start+int64(i)*10, "text=k1")
		set.Step(st, "u1", rules.Input{Event: e}, &out)
	}
	return st.Append(nil, set)
}
