package oracle

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Users by their arms, found with a separate implementation of the hash:
// u000001 has search_help 4462, cart_coupon 4027, signup_hint 7207;
// u000003 has search_help 9053; u000002 has signup_hint 2899;
// u000005 has cart_coupon 6817.
const (
	searchControl   = "u000001"
	searchTreatment = "u000003"
	signupTreatment = "u000001"
	signupControl   = "u000002"
	cartControl     = "u000001"
	cartTreatment   = "u000005"
)

const base = int64(1_767_225_600_000) // 2026-01-01T00:00:00Z

func ms(d time.Duration) int64 { return base + d.Milliseconds() }

func ev(id, kind, user string, at time.Duration) Event {
	return Event{ID: id, Type: kind, User: user, TimeMS: ms(at)}
}

func run(events ...Event) Result {
	o := New()
	for _, e := range events {
		o.Add(e)
	}
	return o.Result()
}

// triggers lists rule/trigger@due of what is owed, sorted.
func triggers(r Result) []string {
	got := []string{}
	for _, s := range r.Sends {
		got = append(got, fmt.Sprintf("%s/%s@%v", s.Rule, s.TriggerID, time.Duration(s.DueMS-base)*time.Millisecond))
	}
	slices.Sort(got)
	return got
}

func TestScenarios(t *testing.T) {
	const day = 24 * time.Hour
	s, c, g := searchTreatment, cartTreatment, signupTreatment
	other := func(at time.Duration) Event { return ev("tick", "tick", "somebody", at) }
	for _, tc := range []struct {
		name   string
		events []Event
		want   []string
		dec    Decisions
	}{
		{
			"third search fires",
			[]Event{ev("1", "search", s, 0), ev("2", "search", s, time.Minute), ev("3", "search", s, 2*time.Minute)},
			[]string{"search_no_view/3@2m0s"},
			Decisions{Sent: 1},
		},
		{
			"a view starts the count anew",
			[]Event{ev("1", "search", s, 0), ev("2", "search", s, 1), ev("v", "product_view", s, 2), ev("3", "search", s, 3), ev("4", "search", s, 4)},
			nil,
			Decisions{},
		},
		{
			"the window is open at its old end",
			[]Event{ev("1", "search", s, 0), ev("2", "search", s, time.Minute), ev("3", "search", s, 30*time.Minute)},
			nil,
			Decisions{},
		},
		{
			"a millisecond inside the window",
			[]Event{ev("1", "search", s, 0), ev("2", "search", s, time.Minute), ev("3", "search", s, 30*time.Minute-time.Millisecond)},
			[]string{"search_no_view/3@29m59.999s"},
			Decisions{Sent: 1},
		},
		{
			"cooldown holds back",
			[]Event{
				ev("1", "search", s, 0), ev("2", "search", s, 0), ev("3", "search", s, 0), ev("4", "search", s, time.Minute),
				ev("5", "search", s, day-time.Minute), ev("6", "search", s, day-time.Minute), ev("7", "search", s, day-time.Millisecond),
			},
			[]string{"search_no_view/3@0s"},
			Decisions{Sent: 1, Cooldown: 2},
		},
		{
			"cooldown ends to the millisecond",
			[]Event{
				ev("1", "search", s, 0), ev("2", "search", s, 0), ev("3", "search", s, 0),
				ev("5", "search", s, day-time.Second), ev("6", "search", s, day-time.Second), ev("7", "search", s, day),
			},
			[]string{"search_no_view/3@0s", "search_no_view/7@24h0m0s"},
			Decisions{Sent: 2},
		},
		{
			"control sends nothing but has a cooldown",
			[]Event{
				ev("1", "search", searchControl, 0), ev("2", "search", searchControl, 0), ev("3", "search", searchControl, 0), ev("4", "search", searchControl, 1),
			},
			nil,
			Decisions{Control: 1, Cooldown: 1},
		},
		{
			"users do not add up",
			[]Event{ev("1", "search", s, 0), ev("2", "search", "u000999", 0), ev("3", "search", s, 0)},
			nil,
			Decisions{},
		},
		{
			"a repeated id counts once",
			[]Event{ev("1", "search", s, 0), ev("2", "search", s, 0), ev("2", "search", s, 0)},
			nil,
			Decisions{},
		},
		{
			"cart fires when the clock passes",
			[]Event{ev("a", "add_to_cart", c, 0), other(7 * day)},
			[]string{"cart_abandoned/a@168h0m0s"},
			Decisions{Sent: 1},
		},
		{
			"cart does not fire before",
			[]Event{ev("a", "add_to_cart", c, 0), other(7*day - time.Millisecond)},
			nil,
			Decisions{},
		},
		{
			"a new add moves the cart",
			[]Event{ev("a", "add_to_cart", c, 0), ev("b", "add_to_cart", c, day), other(7 * day), other(8 * day)},
			[]string{"cart_abandoned/b@192h0m0s"},
			Decisions{Sent: 1},
		},
		{
			"a purchase ends the cart",
			[]Event{ev("a", "add_to_cart", c, 0), ev("p", "purchase", c, day), other(8 * day)},
			nil,
			Decisions{Cancelled: 1},
		},
		{
			"a purchase of the very millisecond is too late",
			[]Event{ev("a", "add_to_cart", c, 0), ev("p", "purchase", c, 7*day)},
			[]string{"cart_abandoned/a@168h0m0s"},
			Decisions{Sent: 1},
		},
		{
			"the cart starts again after it fired",
			[]Event{ev("a", "add_to_cart", c, 0), ev("b", "add_to_cart", c, 8*day), other(15 * day)},
			[]string{"cart_abandoned/a@168h0m0s", "cart_abandoned/b@360h0m0s"},
			Decisions{Sent: 2},
		},
		{
			"a cart in control",
			[]Event{ev("a", "add_to_cart", cartControl, 0), other(7 * day)},
			nil,
			Decisions{Control: 1},
		},
		{
			"a second sign-up is ignored",
			[]Event{ev("s", "signup", g, 0), ev("t", "signup", g, time.Hour), other(2 * day)},
			[]string{"signup_no_view/s@24h0m0s"},
			Decisions{Sent: 1},
		},
		{
			"a view ends the sign-up, the next counts",
			[]Event{ev("s", "signup", g, 0), ev("v", "product_view", g, 1), ev("t", "signup", g, time.Hour), other(2 * day)},
			[]string{"signup_no_view/t@25h0m0s"},
			Decisions{Sent: 1, Cancelled: 1},
		},
		{
			"a sign-up in control",
			[]Event{ev("s", "signup", signupControl, 0), other(2 * day)},
			nil,
			Decisions{Control: 1},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(tc.events...)
			if got := triggers(r); !slices.Equal(got, tc.want) {
				t.Errorf("owed %q, want %q", got, tc.want)
			}
			if r.Decisions != tc.dec {
				t.Errorf("decisions %+v, want %+v", r.Decisions, tc.dec)
			}
		})
	}
}

// Another partition's events do not move the clock.
func TestClockIsPerPartition(t *testing.T) {
	far := ev("x", "tick", "somebody", 30*24*time.Hour)
	far.Partition = 1
	r := run(ev("a", "add_to_cart", cartTreatment, 0), far)
	if len(r.Sends) != 0 || r.Pending != 1 {
		t.Fatalf("%d sends, %d pending; want 0 and 1", len(r.Sends), r.Pending)
	}
}

func TestCounts(t *testing.T) {
	r := run(
		ev("a", "add_to_cart", "a", 0), ev("b", "add_to_cart", "a", 1), ev("b", "add_to_cart", "a", 1),
		ev("s", "signup", "a", 2), ev("t", "signup", "b", 3))
	if r.Events != 5 || r.Repeated != 1 || r.Users != 2 || r.Pending != 3 {
		t.Fatalf("events %d, repeated %d, users %d, pending %d; want 5, 1, 2, 3", r.Events, r.Repeated, r.Users, r.Pending)
	}
}

// Only the last 16 ids of a user are remembered.
func TestOldIDsAreForgotten(t *testing.T) {
	for n, want := range map[int]int{15: 1, 16: 0} {
		events := []Event{ev("first", "purchase", "a", 0)}
		for i := range n {
			events = append(events, ev(fmt.Sprint(i), "purchase", "a", 0))
		}
		events = append(events, ev("first", "purchase", "a", 0))
		if r := run(events...); r.Repeated != want {
			t.Errorf("after %d other events: %d repeated, want %d", n, r.Repeated, want)
		}
	}
}

// Vectors from an implementation of the published algorithms in another language.
func TestIdentity(t *testing.T) {
	if got, want := CommandID("cart_abandoned", "u000123", "e0000042"), "cf6d023a7d6f682ab056226f89e85ca2"; got != want {
		t.Errorf("command id %s, want %s", got, want)
	}
	for _, tc := range []struct {
		salt, user string
		bucket     uint64
		arm        string
	}{
		{"search_help", "u000001", 4462, Control},
		{"search_help", "u000003", 9053, Treatment},
		{"cart_coupon", "u000001", 4027, Control},
		{"cart_coupon", "u000005", 6817, Treatment},
		{"signup_hint", "u000001", 7207, Treatment},
		{"signup_hint", "u000002", 2899, Control},
	} {
		if b := Bucket(tc.salt, tc.user); b != tc.bucket {
			t.Errorf("bucket of %s in %s is %d, want %d", tc.user, tc.salt, b, tc.bucket)
		}
		if a := Arm(tc.salt, tc.user); a != tc.arm {
			t.Errorf("arm of %s in %s is %s, want %s", tc.user, tc.salt, a, tc.arm)
		}
	}
}
