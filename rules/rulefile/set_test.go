package rulefile

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/rules"
)

const cartRules = `# The worked example of the rule language, as far as it is built.
attributes:
  age:  {type: int, from: event.age, on: profile_updated}
  tier: {type: string, from: event.tier, on: [profile_updated, signup]}

metrics:
  searches:   {count: search, within: 30m, reset: product_view}
  orders_30d: {count: purchase, within: 30d}
  last_order: {last: purchase}
  dress_buys: {count: purchase, where: event.category == "dress", within: 365d}

experiments:
  cart_coupon:
    arms: [{name: control, weight: 20}, {name: treatment, weight: 80}]
    salt: cart_coupon
    coverage: 100
    phase: 1
    layer: {name: cart, from: 0, to: 100}

rules:
  - name: cart_abandoned
    on: add_to_cart
    where: event.price > 0.0
    key: event.cart
    wait: 7d
    restart: true
    unless:
      - {on: purchase, where: event.cart == trigger.cart}
    when: |
      orders_30d == 0
        && user.age >= 20
        && !has(user.tier)
    cooldown: 14d
    expire_after: 24h
    priority: 10
    experiment: cart_coupon
    send: &send
      channel: push
      class: ad
      template: cart_coupon_10
      data: {product: trigger.name, items: "trigger.items", coupon: "'10%'", until: now + duration("48h"), percent: 10, first: true, id: trigger.id}

  - name: viewed
    on: [product_view, search]
    when: trigger.seen != true && searches >= 0
    send: *send

  - name: everything
    on: "*"
    send: {channel: kafka, class: transactional, template: audit}
`

func TestSet(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, cartRules, onlyCEL)
		r := s.Rules[0]
		slots := func(names ...string) []int {
			var list []int
			for _, n := range names {
				list = append(list, slices.Index(s.Fields, n))
			}
			slices.Sort(list)
			return list
		}
		if want := slots("cart", "name", "items"); !slices.Equal(r.TriggerSlots, want) {
			t.Errorf("the instance keeps %v, expected %v of %q", r.TriggerSlots, want, s.Fields)
		}
		if got := s.Rules[1].TriggerSlots; len(got) != 0 {
			t.Errorf("a rule without a wait keeps %v", got)
		}
		if want := []string{"age", "tier", "category", "price", "cart", "name", "items", "seen"}; !slices.Equal(s.Fields, want) {
			t.Errorf("the set reads %q, expected %q", s.Fields, want)
		}
		var because []string
		for _, n := range r.Because {
			because = append(because, n.Name)
		}
		if want := []string{"orders_30d", "user.age", "user.tier"}; !slices.Equal(because, want) {
			t.Errorf("the condition reads %q, expected %q", because, want)
		}
		const day = int64(86_400_000)
		if len(r.Program) != 2 || r.Program[0].Wait != 7*day || !r.Restart || r.Cooldown != 14*day || r.ExpireAfter != day || r.Priority != 10 {
			t.Errorf("spans and flags: %+v", r)
		}
		if r.Experiment == nil || r.Experiment.Name != "cart_coupon" || r.Experiment.Assigner == nil || len(s.Experiments) != 1 {
			t.Errorf("experiment: %+v", r.Experiment)
		}
		if got := []string{r.Program[1].Send.Channel, r.Program[1].Send.Class, r.Program[1].Send.Template}; !slices.Equal(got, []string{"push", "ad", "cart_coupon_10"}) {
			t.Errorf("send: %q", got)
		}
		m := s.Metrics[0]
		if m.Kind != rules.Count || m.Within != 30*60*1000 || !slices.Equal(m.On, []string{"search"}) || !slices.Equal(m.Reset, []string{"product_view"}) || m.Where != nil {
			t.Errorf("metric: %+v", m)
		}
		if s.Metrics[2].Kind != rules.Last || s.Metrics[3].Where == nil {
			t.Errorf("metrics: %+v, %+v", s.Metrics[2], s.Metrics[3])
		}
		if a := s.Attributes[1]; a.Kind != rules.String || !slices.Equal(a.On, []string{"profile_updated", "signup"}) {
			t.Errorf("attribute: %+v", a)
		}
	})
}

// The compiled set makes the decisions that the text asks for.
func TestSetDecides(t *testing.T) {
	backends(t, func(t *testing.T, onlyCEL bool) {
		s := parseText(t, cartRules, onlyCEL)
		s.Experiments[0].Pinned = "treatment"
		state, out := &rules.State{}, &rules.Result{}
		const day = int64(86_400_000)
		step := func(in rules.Input) []rules.Decision {
			out.Reset()
			s.Step(state, "u1", in, out)
			var list []rules.Decision
			for _, d := range out.Decisions {
				if d.Rule == "cart_abandoned" {
					list = append(list, d)
				}
			}
			return list
		}
		cart := func(id, key string, at int64) rules.Input {
			return rules.Input{Event: eventOf(s, id, "add_to_cart", at, fields{
				"price": rules.FloatValue(10), "cart": rules.StringValue(key), "name": rules.StringValue("shoe"), "items": rules.JSONValue("[1,2]"),
			})}
		}
		step(rules.Input{Event: eventOf(s, "1", "profile_updated", start, fields{"age": rules.IntValue(30)})})
		step(cart("2", "k1", start))
		step(cart("3", "k2", start))
		step(rules.Input{Event: eventOf(s, "4", "add_to_cart", start, fields{"cart": rules.StringValue("k3")})}) // no price
		if n := state.Pending(); n != 2 {
			t.Fatalf("%d instances are pending, expected 2", n)
		}
		cancelled := step(rules.Input{Event: eventOf(s, "5", "purchase", start+1, fields{"cart": rules.StringValue("k1")})})
		if len(cancelled) != 1 || cancelled[0].Outcome != rules.Cancelled || cancelled[0].Instance != "k1" {
			t.Fatalf("the purchase brought about %+v, expected k1 to be cancelled", cancelled)
		}
		held := step(rules.Input{Until: start + 7*day})
		if len(held) != 1 || held[0].Outcome != rules.Condition {
			t.Fatalf("got %+v, expected the purchase to hold k2 back", held)
		}
		if diff := cmp.Diff([]string{"orders_30d", "user.age"}, names(held[0].Because)); diff != "" {
			t.Errorf("because (-want +got):\n%s", diff)
		}
		later := start + 40*day
		step(cart("6", "k2", later))
		sent := step(rules.Input{Until: later + 7*day})
		if len(sent) != 1 || sent[0].Outcome != rules.Sent {
			t.Fatalf("got %+v, expected a send", sent)
		}
		want := []rules.Datum{
			{Name: "product", Value: rules.StringValue("shoe")},
			{Name: "items", Value: rules.JSONValue("[1,2]")},
			{Name: "coupon", Value: rules.StringValue("10%")},
			{Name: "until", Value: rules.TimeValue(later + 9*day)},
			{Name: "percent", Value: rules.IntValue(10)},
			{Name: "first", Value: rules.BoolValue(true)},
			{Name: "id", Value: rules.StringValue("6")},
		}
		if !slices.Equal(sent[0].Data, want) {
			t.Errorf("got the data %+v, expected %+v", sent[0].Data, want)
		}
	})
}

func names(data []rules.Datum) []string {
	var list []string
	for _, d := range data {
		list = append(list, d.Name)
	}
	return list
}

func TestEmptySet(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}", "rules: []\n", "rules:\n", "---\n"} {
		s, err := Parse([]File{{"empty.yaml", []byte(text)}})
		if err != nil || len(s.Rules) != 0 {
			t.Errorf("%q: got %v, %v; expected an empty set", text, s, err)
		}
	}
}
