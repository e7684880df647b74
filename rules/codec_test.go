package rules_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// A stored state is as good as the one it was stored from: the same bytes when
// it is stored again, the same decisions and bytes after whatever comes next.
func TestStoredStateIsTheState(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		inputs := randomInputs(t, set, 80)
		user := randomUser(t)
		cut := rapid.IntRange(0, len(inputs)).Draw(t, "cut")
		st := &rules.State{}
		stepAll(set, st, user, inputs[:cut], nil)
		for due := int64(start + 20_000); rapid.Bool().Draw(t, "another hint"); {
			st.AddTimerHint(due)
			due -= rapid.SampledFrom([]int64{1, 20_000, 20_005}).Draw(t, "earlier")
		}
		blob := st.Append(nil, set)
		copied := &rules.State{}
		if err := copied.Decode(blob); err != nil {
			t.Fatal(err)
		}
		if again := copied.Append(nil, set); !bytes.Equal(again, blob) {
			t.Fatalf("stored %x, stored again %x", blob, again)
		}
		if st.Newest() != copied.Newest() || st.Pending() != copied.Pending() || st.TimerHint() != copied.TimerHint() || st.TimerHints() != copied.TimerHints() {
			t.Fatalf("newest %d, %d; pending %d, %d; hint %d, %d", st.Newest(), copied.Newest(), st.Pending(), copied.Pending(), st.TimerHint(), copied.TimerHint())
		}
		a, b := stepAll(set, st, user, inputs[cut:], nil), stepAll(set, copied, user, inputs[cut:], nil)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("decisions of the state (-) and of its copy (+):\n%s", diff)
		}
		if x, y := st.Append(nil, set), copied.Append(nil, set); !bytes.Equal(x, y) {
			t.Fatalf("in the end the state is %x, its copy %x", x, y)
		}
	})
}

// When and how often a state is stored changes no decision: the daemon stores
// per batch, a backtest never.
func TestStoringChangesNoDecision(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		inputs := randomInputs(t, set, 80)
		one, user := &rules.State{}, randomUser(t)
		kept := stepAll(set, one, user, inputs, nil)
		other, blob := &rules.State{}, []byte(nil)
		stored := stepAll(set, other, user, inputs, func(int) {
			if rapid.Bool().Draw(t, "store") {
				blob = other.Append(blob[:0], set)
				if err := other.Decode(blob); err != nil {
					t.Fatal(err)
				}
			}
		})
		if diff := cmp.Diff(kept, stored); diff != "" {
			t.Fatalf("decisions without (-) and with storing (+):\n%s", diff)
		}
	})
}

// A state is decoded into one that held another user: nothing of that is left.
func TestDecodeReplaces(t *testing.T) {
	set := compile(t, everythingRules)
	rapid.Check(t, func(t *rapid.T) {
		st, fresh, user := &rules.State{}, &rules.State{}, randomUser(t)
		stepAll(set, st, user, randomInputs(t, set, 40), nil)
		other := &rules.State{}
		stepAll(set, other, user, randomInputs(t, set, 40), nil)
		blob := other.Append(nil, set)
		for _, s := range []*rules.State{st, fresh} {
			if err := s.Decode(blob); err != nil {
				t.Fatal(err)
			}
		}
		more := randomInputs(t, set, 20)
		if diff := cmp.Diff(stepAll(set, fresh, user, more, nil), stepAll(set, st, user, more, nil)); diff != "" {
			t.Fatalf("decisions of a fresh (-) and of a used state (+):\n%s", diff)
		}
		if a, b := fresh.Append(nil, set), st.Append(nil, set); !bytes.Equal(a, b) {
			t.Fatalf("fresh %x, used %x", a, b)
		}
	})
}

// Decode keeps a copy: the caller may reuse the blob's memory.
func TestDecodeKeepsACopy(t *testing.T) {
	set := compile(t, everythingRules)
	blob := play(t, set, "0s profile text=gold n=7\n1s a text=k1 items=[1]", false).state.Append(nil, set)
	lent := slices.Clone(blob)
	st := decoded(t, lent)
	clear(lent)
	if got := st.Append(nil, set); !bytes.Equal(got, blob) {
		t.Errorf("the state was %x, is %x", blob, got)
	}
}

// golden is the state of goldenScript under goldenRules as version 2 stores it.
// States outlive programs: if this changes, the version has to.
const (
	goldenRules = `
attributes:
  age:  {type: int, from: event.age, on: profile}
  tier: {type: string, from: event.tier, on: profile}
metrics:
  n:  {count: a, within: 1h}
  by: {count: a, by: event.key, within: 1h}
  l:  {last: a}
rules:
  - {name: atonce, on: a, cooldown: 1h, send: {{send}}}
  - {name: waits, on: "*", key: event.key, wait: 1m, send: {channel: push, class: ad, template: t, data: {tier: user.tier, price: trigger.price, ok: trigger.ok, key: trigger.key, items: trigger.items}}}
`
	goldenScript = `
0s  profile age=30 tier=gold
1s  a key=k1 price=1.5 ok=true items=[1]
2s  a key=k1 price=7
3s  other key=k2`
	golden = `
02 f0ced5edee66 3f d0fa06                              # version, newest, sections, hint
04 68dc941c1e10 f79936bb3ebb 9975cefc8520 e18fc95cb8fe # ids e0 e1 e2 e3
02 f5c84edd 02 3c 6d9b9b32 04 04676f6c64               # age 30, tier gold
03                                                     # metrics, points from the newest back
bcf0e595 01 02 d00f d00f                               # n: 1 s before the newest event, 1 s before that
68bd10b6 81 02 d00f d307f4df5d51 d00f d307f4df5d51     # by: the same, each of k1
fe0c69c4 02 01 d00f                                    # l
01 c1ca7b55 a01f                                       # atonce was sent 2 s ago
02                                                     # pending
10ec664e 09 a08a07 026b31 3cacd287 026531 a01f 00 01   # waits for k1, begun by e1 of type a at 0/1
04 9bc7fe81 04 026b31 40d1af93 03 000000000000f83f     # which keeps key, price,
c2e50eeb 01 01 639d6cdc 06 035b315d                    # ok, items
10ec664e 0d c0a907 026b32 056f74686572 026533 00 00 03 # waits for k2, begun by e3 of a type that no rule names
01 9bc7fe81 04 026b32                                  # which keeps key`
)

// goldenBytes is golden without its remarks.
func goldenBytes(t *testing.T) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(golden) {
		numbers, _, _ := strings.Cut(line, "#")
		for _, word := range strings.Fields(numbers) {
			digits.WriteString(word)
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenState(t *testing.T) {
	set := compile(t, goldenRules)
	st := play(t, set, goldenScript, false).state
	st.AddTimerHint(start + minute)
	if got, want := st.Append(nil, set), goldenBytes(t); !bytes.Equal(got, want) {
		t.Errorf("stored as\n%x, want\n%x", got, want)
	}
	p := played{state: decoded(t, goldenBytes(t))}
	if hint := p.state.TimerHint(); hint != start+minute {
		t.Errorf("hint %d", hint-start)
	}
	p.step(set, rules.Input{Event: event(set, "e2", "a", start+4*second)}, false)
	p.step(set, rules.Input{Event: event(set, "e4", "a", start+4*second, "key=k3")}, false)
	p.step(set, rules.Input{Until: start + hour}, false)
	if p.duplicates != 1 {
		t.Error("the id e2 is not known")
	}
	checkLines(t, p.lines, `
		4s atonce cooldown
		1m1s waits/k1 sent tier=gold price=1.5 ok=true key=k1 items=[1]
		1m3s waits/k2 sent tier=gold key=k2
		1m4s waits/k3 sent tier=gold key=k3`)
}

// emptyState is how the zero State is stored.
func emptyState(set *rules.Set) []byte { return (&rules.State{}).Append(nil, set) }

func TestDecodeErrors(t *testing.T) {
	set := compile(t, everythingRules)
	good := play(t, set, "0s profile text=gold n=7\n1s a text=k1 items=[1]\n2s b text=k2", false).state.Append(nil, set)
	check := func(name string, blob []byte, want string) {
		t.Helper()
		st := play(t, set, "0s a text=k1", false).state
		err := st.Decode(blob)
		if err == nil {
			t.Errorf("%s: no error", name)
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %q, it should say %q", name, err, want)
		}
		if got := st.Append(nil, set); !bytes.Equal(got, emptyState(set)) {
			t.Errorf("%s: the state is not empty after the error: %x", name, got)
		}
	}
	check("nothing", nil, "cut short")
	for n := 1; n < len(good); n++ {
		check("cut short", good[:n], "cut short")
	}
	check("a byte too many", append(slices.Clone(good), 0), "1 bytes after its end")
	check("a later version", append([]byte{4}, good[1:]...), "version 4, this program reads versions 1 to 3")
	check("an unknown section", []byte{2, 0, 0x80, 8}, "unknown sections 0x400")
	check("further index entries without a first", []byte{2, 0, 0x80, 4, 1, 5}, "cut short")
	check("an unknown flag of an instance", []byte{2, 0, 0x20, 1, 1, 2, 3, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "damaged")
	check("an unknown kind of metric", []byte{2, 0, 8, 1, 1, 2, 3, 4, 7, 0}, "damaged")
	check("a sum that is a text", []byte{2, 0, 8, 1, 1, 2, 3, 4, 3, 1, 0, byte(rules.String), 1, 'x'}, "damaged")
	check("an unknown kind of value", []byte{1, 0, 4, 1, 1, 2, 3, 4, 99}, "damaged")
	check("more ids than there are bytes", []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f}, "cut short")
	check("a text longer than the rest", []byte{1, 0, 4, 1, 1, 2, 3, 4, byte(rules.String), 0xff, 0x7f}, "cut short")
}
