package rulefile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
)

// languageRules use every key of the language.
const languageRules = `attributes:
  age:      {type: int, from: event.age, on: profile_updated}
  tier:     {type: string, from: event.tier, on: [profile_updated, signup]}
  timezone: {type: string, from: event.tz, on: profile_updated}
  ad_consent: {type: bool, from: event.ads, on: consent}
  ad_night_consent: {type: bool, from: event.night, on: consent}

metrics:
  searches:   {count: search, within: 30m, reset: product_view}
  orders_30d: {count: purchase, within: 30d}
  spent_90d:  {sum: event.revenue, on: purchase, within: 90d}
  last_order: {last: purchase}
  first_seen: {first: "*"}
  viewed_cat: {distinct: event.category, on: product_view, within: 7d}
  dress_buys: {count: purchase, where: event.category == "dress", within: 365d}
  last_cat:   {value: event.category, on: product_view, reset: logout}
  views_of_it: {count: product_view, by: event.product_id, within: 20m}

audiences:
  rich_lapsing: lapsing && spent_90d > 100
  lapsing: last_order < now - duration("720h") && user.age >= 20

experiments:
  cart_coupon:
    arms: [{name: control, weight: 20}, {name: treatment, weight: 80}]
    salt: cart_coupon
    goal: {on: purchase, where: event.revenue > 0, within: 14d, value: event.revenue}
    layer: {name: cart, from: 0, to: 100}
    phase: 3

holdout: {percent: 5, salt: global-2026}

policy:
  caps:
    - {class: ad, max: 2, per: 24h}
    - {channel: push, max: 5, per: 7d}
  quiet_hours: {class: ad, from: "21:00", to: "08:00", timezone: user.timezone, default_timezone: Asia/Seoul, then: defer}
  consent: {class: ad, require: ad_consent, night: ad_night_consent}
  profile: kr

rules:
  - name: cart_abandoned
    on: add_to_cart
    where: event.price > 0.0
    key: event.cart
    wait: 7d
    restart: true
    unless: [{on: purchase, where: event.cart == trigger.cart}]
    exit: [{on: empty_cart}]
    when: orders_30d == 0 && user.age >= 20
    cooldown: 14d
    expire_after: 24h
    priority: 10
    experiment: cart_coupon
    cost: {send: 15, coupon: 5000}
    send:
      channel: push
      class: ad
      template: cart_coupon_10
      data: {product: trigger.name, coupon: "'10%'", until: now + duration("48h")}

  - name: welcome
    on: signup
    unless: [{on: purchase}]
    when: trigger.plan != "none"
    steps:
      - send: {channel: email, class: transactional, template: welcome}
      - wait: 2d
        unless: [{on: login, where: event.device == trigger.device}]
      - send: {channel: sms, class: ad, template: best_items}
      - wait_for: {on: message_click, where: event.template == "best_items" && event.campaign == trigger.campaign, within: 3d}
        then:
          - send: {channel: push, class: ad, template: first_order_coupon, data: {n: trigger.name}}
        else:
          - wait_for: {on: visit, within: 1d}
            then: [{send: {channel: push, class: ad, template: smaller_ask}}]
            else: []
          - wait_until: timestamp(trigger.expires_at)
      - send: {channel: email, class: ad, template: bye}

  - name: coupon_ends
    on: coupon_issued
    wait_until: event.expires_at
    send: {channel: push, class: ad, template: ends}

  - name: black_friday
    schedule: {at: "2026-11-27T09:00", timezone: Asia/Seoul}
    audience: lapsing
    paused: true
    send: {channel: push, class: ad, template: bf, data: {at: trigger.time}}

  - name: monthly
    schedule: {cron: "0 9 1 * *"}
    audience: rich_lapsing && user.tier == "gold"
    steps:
      - send: {channel: push, class: ad, template: m1}
      - wait: 1d
      - send: {channel: push, class: ad, template: m2}

  - name: put_off
    on: product_view
    when: views_of_it >= 3 && event.price > 10
    send: {channel: push, class: ad, template: three_views, data: {product: event.product_id, id: event.id, user: trigger.owner}}

  - name: at_once
    on: purchase
    send: {channel: mail, class: transactional, template: thanks, data: {order: event.order}}
`

// programText writes a program down, so that a test can read it.
func programText(ops []rules.Op) []string {
	var list []string
	for i, op := range ops {
		s := ""
		switch op.Kind {
		case rules.OpSend:
			s = fmt.Sprintf("%d send#%d %s -> %d", i, op.Step, op.Send.Template, op.Next)
		case rules.OpWait:
			s = fmt.Sprintf("%d wait %s -> %d", i, time.Duration(op.Wait)*time.Millisecond, op.Next)
			if op.Until != nil {
				s = fmt.Sprintf("%d until -> %d", i, op.Next)
			}
		case rules.OpWaitFor:
			s = fmt.Sprintf("%d for %s %s -> %d else %d", i, strings.Join(op.For.On, "|"), time.Duration(op.For.Within)*time.Millisecond, op.For.Then, op.For.Else)
		}
		if len(op.Unless) > 0 {
			s += " unless"
		}
		list = append(list, s)
	}
	return list
}

func ruleNamed(t testing.TB, s *rules.Set, name string) *rules.Rule {
	t.Helper()
	for _, r := range s.Rules {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no rule %s", name)
	return nil
}

// kept are the names of the fields that a rule's instances keep.
func kept(s *rules.Set, r *rules.Rule) []string {
	names := []string{}
	for _, slot := range r.TriggerSlots {
		names = append(names, s.Fields[slot])
	}
	slices.Sort(names)
	return names
}

func TestPrograms(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, languageRules, onlyCEL)
		for _, test := range []struct {
			rule    string
			program []string
			kept    []string
		}{
			{"cart_abandoned", []string{"0 wait 168h0m0s -> 1", "1 send#0 cart_coupon_10 -> 2"}, []string{"cart", "name"}},
			{
				"welcome",
				[]string{
					"0 send#0 welcome -> 1", "1 wait 48h0m0s -> 2 unless", "2 send#1 best_items -> 3",
					"3 for message_click 72h0m0s -> 4 else 5", "4 send#2 first_order_coupon -> 8",
					"5 for visit 24h0m0s -> 6 else 7", "6 send#3 smaller_ask -> 7", "7 until -> 8", "8 send#4 bye -> 9",
				},
				[]string{"campaign", "device", "expires_at", "name", "plan"},
			},
			{"coupon_ends", []string{"0 until -> 1", "1 send#0 ends -> 2"}, []string{}},
			{"black_friday", []string{"0 send#0 bf -> 1"}, []string{}},
			{"monthly", []string{"0 send#0 m1 -> 1", "1 wait 24h0m0s -> 2", "2 send#1 m2 -> 3"}, []string{}},
			// Quiet hours may come between the event and the message.
			{"put_off", []string{"0 send#0 three_views -> 1"}, []string{"owner", "price", "product_id"}},
			{"at_once", []string{"0 send#0 thanks -> 1"}, []string{}},
		} {
			r := ruleNamed(t, s, test.rule)
			if diff := cmp.Diff(test.program, programText(r.Program)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.rule, diff)
			}
			if diff := cmp.Diff(test.kept, kept(s, r)); diff != "" {
				t.Errorf("%s keeps (-want +got):\n%s", test.rule, diff)
			}
		}
	})
}

// A list of branches leads on to what follows its wait_for, however deep it is.
func TestBranchesLeadOn(t *testing.T) {
	s := parseText(t, `rules:
  - name: r
    on: a
    steps:
      - wait_for: {on: b, within: 1s}
        then:
          - wait_for: {on: c, within: 2s}
            then: [{wait_for: {on: d, within: 3s}}]
      - wait_for: {on: e, within: 4s}
        else: [{send: {channel: c, class: transactional, template: t}}]
`, false)
	want := []string{
		"0 for b 1s -> 1 else 3", "1 for c 2s -> 2 else 3", "2 for d 3s -> 3 else 3", "3 for e 4s -> 5 else 4", "4 send#0 t -> 5",
	}
	if diff := cmp.Diff(want, programText(s.Rules[0].Program)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetParts(t *testing.T) {
	s := parseText(t, languageRules, false)
	const hour = int64(3_600_000)

	kinds := map[string]rules.MetricKind{
		"searches": rules.Count, "spent_90d": rules.Sum, "last_order": rules.Last, "first_seen": rules.First,
		"viewed_cat": rules.Distinct, "last_cat": rules.Latest, "views_of_it": rules.Count,
	}
	for _, m := range s.Metrics {
		want, ok := kinds[m.Name]
		if ok && m.Kind != want {
			t.Errorf("%s is of kind %d, expected %d", m.Name, m.Kind, want)
		}
		if expression := m.Kind == rules.Sum || m.Kind == rules.Distinct || m.Kind == rules.Latest; expression != (m.Value != nil) || len(m.On) == 0 {
			t.Errorf("%s: value %t, on %q", m.Name, m.Value != nil, m.On)
		}
	}

	p := s.Policy
	if diff := cmp.Diff([]rules.Cap{{Class: "ad", Max: 2, Per: 24 * hour}, {Channel: "push", Max: 5, Per: 7 * 24 * hour}}, p.Caps); diff != "" {
		t.Errorf("caps (-want +got):\n%s", diff)
	}
	if len(p.Quiet) != 1 || p.Quiet[0].From != 21*60 || p.Quiet[0].To != 8*60 || p.Quiet[0].Default != "Asia/Seoul" || p.Quiet[0].Skip || p.Quiet[0].Timezone == nil {
		t.Errorf("quiet hours: %+v", p.Quiet)
	}
	if len(p.Consent) != 1 || p.Consent[0].Require.Name != "ad_consent" || p.Consent[0].Night.Name != "ad_night_consent" {
		t.Errorf("consent: %+v", p.Consent)
	}
	if diff := cmp.Diff([]rules.Label{{Class: "ad", Text: "(광고)"}}, p.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if s.Holdout == nil || s.Holdout.Percent != 5 || s.Holdout.Salt != "global-2026" {
		t.Errorf("holdout: %+v", s.Holdout)
	}

	x := s.Experiments[0]
	if x.Phase != 3 || x.Goal == nil || x.Goal.Within != 14*24*hour || x.Goal.Where == nil || x.Goal.Value == nil || !slices.Equal(x.Goal.On, []string{"purchase"}) {
		t.Errorf("experiment: %+v, goal %+v", x, x.Goal)
	}
	if x.Spec == nil || x.Spec.Salt != "cart_coupon" || len(x.Spec.Arms) != 2 {
		t.Errorf("the experiment as written: %+v", x.Spec)
	}

	cart := ruleNamed(t, s, "cart_abandoned")
	if len(cart.Unless) != 2 || !slices.Equal(cart.Unless[1].On, []string{"empty_cart"}) {
		t.Errorf("unless and exit: %+v", cart.Unless)
	}
	if cart.Cost != (rules.Cost{Send: 15, Coupon: 5000}) {
		t.Errorf("cost: %+v", cart.Cost)
	}
	if p := cart.Program; len(p) != 2 || p[0].Wait != 7*24*hour || p[1].Send.Template != "cart_coupon_10" {
		t.Errorf("the program of a plain rule: %+v", p)
	}

	bf := ruleNamed(t, s, "black_friday")
	// 09:00 in Seoul is midnight UTC.
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC).UnixMilli()
	if next, ok := bf.Schedule.Next(start); !ok || next != at || !bf.Paused || bf.Schedule.AudienceName != "lapsing" || bf.Schedule.Audience == nil {
		t.Errorf("schedule: %+v, next %d %t", bf.Schedule, next, ok)
	}
	if _, ok := bf.Schedule.Next(at); ok {
		t.Error("the schedule happens again")
	}
	if zone := s.Zone("Asia/Seoul"); zone == nil || zone.String() != "Asia/Seoul" {
		t.Errorf("zone: %v", zone)
	}
}

// "true" in quotes is the condition, and not an audience of that name.
func TestAudienceOfEverybody(t *testing.T) {
	for _, audience := range []string{`true`, `"true"`} {
		s := parseText(t, `rules:
  - name: r
    schedule: {cron: "0 9 * * *"}
    audience: `+audience+`
    send: {channel: c, class: ad, template: t}
`, false)
		if got := s.Rules[0].Schedule.Audience(&rules.Env{Set: s, State: &rules.State{}}); got != rules.True {
			t.Errorf("audience: %s is %v", audience, got)
		}
	}
}

// An audience is asked like any condition, by name and inside of others.
func TestAudiences(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, `attributes:
  age: {type: int, from: event.age, on: profile}
metrics:
  orders: {count: purchase}
audiences:
  buyers: orders > 0
  grown_up: user.age >= 20
  both: buyers && grown_up
rules:
  - name: r
    on: probe
    when: both || event.force
    send: {channel: c, class: ad, template: t, data: {grown: grown_up}}
`, onlyCEL)
		r := s.Rules[0]
		var reads []string
		for _, n := range r.Because {
			reads = append(reads, n.Name)
		}
		if want := []string{"both", "buyers", "orders", "grown_up", "user.age"}; !slices.Equal(reads, want) {
			t.Errorf("the condition reads %q, expected %q", reads, want)
		}
		state, out := &rules.State{}, &rules.Result{}
		when := r.When
		got := rules.Unknown
		r.When = func(env *rules.Env) rules.Truth { got = when(env); return got }
		for i, step := range []struct {
			typ  string
			f    fields
			want rules.Truth
		}{
			{"probe", nil, rules.Unknown}, // orders are 0: both is false; force is not there
			{"probe", fields{"force": rules.BoolValue(true)}, rules.True},
			{"probe", fields{"force": rules.BoolValue(false)}, rules.False},
			{"purchase", nil, rules.False},
			{"probe", fields{"force": rules.BoolValue(false)}, rules.Unknown}, // no age
			{"profile", fields{"age": rules.IntValue(20)}, rules.Unknown},
			{"probe", nil, rules.True},
		} {
			e := eventOf(s, fmt.Sprint(i), step.typ, start+int64(i), step.f)
			s.Step(state, "u1", rules.Input{Event: e}, out)
			if got != step.want {
				t.Errorf("event %d: got %v, expected %v", i, got, step.want)
			}
		}
	})
}
