package rules_test

import (
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
)

// The figures are those of testdata/command_ids.py, which shares nothing with
// the Go code.
func TestCommandIDVectors(t *testing.T) {
	long := strings.Repeat
	for _, c := range []struct {
		rule, user, key string
		step            int
		trigger         string
		want            string
	}{
		{"cart_abandoned", "u1", "k1", 0, "e1", "92037e930c93abbebe959e0ad408fa41"},
		{"cart_abandoned", "u1", "", 0, "e1", "09b109f89bf7e8d08332fa47a52866d5"},
		{"cart_abandoned", "u1", "", 12, "e1", "4ea5aa25b9e03e866d3fe9f497f0ed5b"},
		{"", "", "", 0, "", "ed637cc74c8d645ce3e653f665714cf1"},
		{"장바구니", "사용자", "열쇠", 0, "이벤트", "aa28e562f5d79ee8c0b943980cdec14b"},
		{long("r", 200), long("u", 512), long("k", 512), 0, long("e", 256), "2347ca2d31d91a224204eed0f8b9abe0"},
		// The lengths keep the parts apart.
		{"a", "bc", "", 0, "e", "7508faad9d3485ad4a380b8b48851225"},
		{"ab", "c", "", 0, "e", "dd45d08029146c66d602204e790b2745"},
	} {
		if got := rules.NewCommandID(c.rule, c.user, c.key, c.step, c.trigger).String(); got != c.want {
			t.Errorf("%.20s %.20s %.20s %d %.20s: got %s, want %s", c.rule, c.user, c.key, c.step, c.trigger, got, c.want)
		}
	}
}

const commandRules = `
rules:
  - name: cart_abandoned
    on: add_to_cart
    key: event.cart
    wait: 1d
    send: {{send}}
`

func TestDecisionsCarryTheirCommandID(t *testing.T) {
	set := compile(t, commandRules)
	got := play(t, set, `
		0s add_to_cart id=e1 cart=k1
		1d clock`, false)
	if want := []string{"92037e930c93abbebe959e0ad408fa41"}; !equal(got.commandIDs, want) {
		t.Errorf("got %v, want %v", got.commandIDs, want)
	}
}

// A decision made twice, whenever and after whatever else, has the same id;
// another trigger gives another.
func TestCommandIDBelongsToTheDecision(t *testing.T) {
	set := compile(t, commandRules)
	onTime := play(t, set, `
		0s add_to_cart id=e7 cart=k1
		1d clock`, false).commandIDs
	late := play(t, set, `
		- by hand
		0s add_to_cart id=e6 cart=k2
		0s add_to_cart id=e7 cart=k1
		9d wall`, false).commandIDs
	if len(onTime) != 1 || len(late) != 2 {
		t.Fatalf("ids: %v, %v", onTime, late)
	}
	if late[1] != onTime[0] {
		t.Errorf("the same decision has the ids %s and %s", onTime[0], late[1])
	}
	if late[0] == late[1] {
		t.Errorf("two decisions share the id %s", late[0])
	}
}
