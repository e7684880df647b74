package rulefile

import (
	"strings"
	"sync"
	"testing"

	"github.com/nudged/nudged/rules"
)

func TestConditions(t *testing.T) {
	const yes, no, unknown = rules.True, rules.False, rules.Unknown
	tests := []struct {
		cond string
		want rules.Truth
	}{
		// Fields and comparisons.
		{`event.price > 0.0`, yes},
		{`event.price > 0`, yes},
		{`event.n == 3.0`, yes},
		{`event.n >= 3 && event.n <= 3`, yes},
		{`3 < event.n`, no},
		{`event.name == "dress"`, yes},
		{`"dress" != event.name`, no},
		{`event.name < "e"`, yes},
		{`event.flag`, yes},
		{`!event.flag`, no},
		{`event.big == 9007199254740993`, yes},
		{"event.`a-b` == 1", yes},
		{`event["a-b"] == 1`, yes},
		{`event["이름"] == "바람막이"`, yes},
		// Different kinds are unequal, but have no order.
		{`event.name == 1`, no},
		{`event.name != 1`, yes},
		{`event.name < 1`, unknown},
		{`event.price == 9.5 && event.price != 9`, yes},
		{`1.0 == 1 && 1 == 1u && user.age == 30.0`, yes},
		{`user.age > 29.5`, yes},
		{`event.n in [1, 2, 3.0]`, yes},
		{`user.age in [1.0, 30.0]`, yes},
		{`event.name in ["a", "dress"]`, yes},
		{`event.name in ["a", event.gone, "dress"]`, unknown},
		{`event.gone in ["a"]`, unknown},
		{`event.gone in []`, unknown},
		{`event.name in []`, no},
		{`"a" in event.obj`, yes},
		{`"none" in event.obj`, no},
		// What is not there.
		{`event.gone == 1`, unknown},
		{`event.gone != 1`, unknown},
		{`!(event.gone == 1)`, unknown},
		{`event.gone == 1 || event.n == 3`, yes},
		{`event.n == 3 || event.gone == 1`, yes},
		{`event.gone == 1 && event.n == 4`, no},
		{`event.gone == 1 && event.n == 3`, unknown},
		{`event.name && false`, no},
		{`event.name && true`, unknown},
		{`event.name || true`, yes},
		{`has(event.name) && !has(event.gone)`, yes},
		{`has(event.id) && has(event.time)`, yes},
		{`has(user.age) && !has(user.rate)`, yes},
		{`has(trigger.cart) && !has(trigger.price)`, yes},
		{`has(event.obj.a) && !has(event.obj.none) && !has(event.obj.x)`, yes},
		{`has(event.gone.x)`, unknown},
		{`user.rate > 0.0`, unknown},
		// What the envelope says.
		{`event.id == "p" && event.type == "probe" && event.user == "u1"`, yes},
		{`event.time == timestamp("2026-01-01T00:00:05Z") && now == event.time`, yes},
		{`trigger.id == "3" && trigger.type == "trig" && trigger.user == "u1"`, yes},
		{`trigger.time == now - duration("2s")`, yes},
		{`event.cart == trigger.cart && trigger.name == "shoe" && trigger.n > event.n`, yes},
		// State.
		{`user.age >= 20 && user.tier == "gold" && user.vip`, yes},
		{`user.seen == timestamp("2026-01-01T00:00:00Z")`, yes},
		{`orders == 2 && orders > 1.5`, yes},
		{`last_order < now && last_order == timestamp("2026-01-01T00:00:02Z")`, yes},
		{`now - last_order > duration("2s") && now - last_order <= duration("3s")`, yes},
		{`duration("1s") + last_order == now - duration("2s")`, yes},
		{`now + duration("2000000h") > now`, yes},
		{`timestamp("9999-12-31T23:59:59Z") + duration("1s") > now`, unknown},
		{`timestamp("9999-12-31T23:59:59Z") - timestamp("0001-01-01T00:00:00Z") > duration("1s")`, unknown},
		// Text.
		{`event.name.startsWith("dr") && event.name.endsWith("ss") && event.name.contains("res")`, yes},
		{`event.n.startsWith("3")`, unknown},
		{`event.name.startsWith(event.n)`, unknown},
		{`event.name.matches("^d.*s$")`, yes},
		{`size(event.name) == 5`, yes},
		// JSON inside of an event.
		{`event.items[0].sku == "a" && event.items[1].qty == 1.5`, yes},
		{`event.items[0].qty == 2 && type(event.items[0].qty) == int && type(event.items[1].qty) == double`, yes},
		{`event.items.exists(i, i.sku == "b")`, yes},
		{`event.items.exists(i, has(i.note))`, no},
		{`event.items[5].sku == "a"`, unknown},
		{`event.obj.a.b == "c" && event.obj.z == 1`, yes},
		{`event.obj.none == 1`, unknown},
		{`event.obj == {"a": {"b": "c"}, "z": 1.0}`, yes},
		{`event.items == event.items && event.items != event.obj`, yes},
		{`event.items == "a"`, no},
		{`event.items < 1`, unknown},
		{`event.obj.a.map(k, k) == ["b"] && event.obj.map(k, k) == ["a", "z"]`, yes},
		// Other functions.
		{`timestamp(event.when) > now`, yes},
		{`timestamp(event.name) > now`, unknown},
		{`event.flag ? event.n == 3 : event.gone == 1`, yes},
		{`event.n + 1 == 4 && event.n * 2 > 5 && event.n % 2 == 1`, yes},
		{`now.getFullYear() == 2026 && now.getHours("Asia/Seoul") == 9`, yes},
		{`true`, yes},
		{`false`, no},
	}
	backends(t, func(t *testing.T, onlyCEL bool) {
		for _, test := range tests {
			if got, _ := probe(t, test.cond, "1", onlyCEL); got != test.want {
				t.Errorf("%s: got %d, expected %d", test.cond, got, test.want)
			}
		}
	})
}

func TestValues(t *testing.T) {
	absent := rules.Value{}
	tests := []struct {
		value string
		want  rules.Value
	}{
		{`event.name`, rules.StringValue("dress")},
		{`trigger.name`, rules.StringValue("dress")}, // no wait: the trigger is the event at hand
		{`event.gone`, absent},
		{`'10%'`, rules.StringValue("10%")},
		{`5`, rules.IntValue(5)},
		{`5u`, rules.IntValue(5)},
		{`18446744073709551615u`, absent},
		{`2.5`, rules.FloatValue(2.5)},
		{`1.0 / 0.0`, absent},
		{`event.n > 1`, rules.BoolValue(true)},
		{`event.n > 1 && event.items.exists(i, i.qty > 1)`, rules.BoolValue(true)},
		{`event.gone > 1`, absent},
		{`now + duration("48h")`, rules.TimeValue(start + 5000 + 48*3600*1000)},
		{`duration("90m")`, rules.StringValue("1h30m0s")},
		{`now - last_order`, rules.StringValue("3s")},
		{`duration("1ns")`, rules.StringValue("1ns")},
		{`timestamp("2026-01-01T00:00:00.0019Z")`, rules.TimeValue(start + 1)},
		{`orders`, rules.IntValue(2)},
		{`last_order`, rules.TimeValue(start + 2000)},
		{`user.age`, rules.IntValue(30)},
		{`user.rate`, absent},
		{`event.items`, probeFields["items"]},
		{`event.obj.a`, rules.JSONValue(`{"b":"c"}`)},
		{`event.items[1]`, rules.JSONValue(`{"qty":1.5,"sku":"b"}`)},
		{`[event.n, event.obj, 'a<b', 1.5, true, null]`, rules.JSONValue(`[3,{"z":1,"a":{"b":"c"},"none":null},"a<b",1.5,true,null]`)},
		{`{'z': 1, 'a': now, 'd': duration("1s")}`, rules.JSONValue(`{"a":"2026-01-01T00:00:05Z","d":"1s","z":1}`)},
		{`{1: 'a', true: 'b'}`, rules.JSONValue(`{"1":"a","true":"b"}`)},
		{`{1: 'a', '1': 'b'}`, absent},
		{`{'a': 1.0 / 0.0}`, absent},
		{`[event.gone]`, absent},
		{`[b'x']`, absent},
		{`event.items.map(i, i.sku)`, rules.JSONValue(`["a","b"]`)},
		{`event.items.filter(i, i.qty > 1.7)`, rules.JSONValue(`[{"qty":2,"sku":"a"}]`)},
		{`event.name + '!'`, rules.StringValue("dress!")},
		{`event.flag ? 'yes' : 'no'`, rules.StringValue("yes")},
		{`string(event.n)`, rules.StringValue("3")},
		{`int(event.price)`, rules.IntValue(9)},
	}
	backends(t, func(t *testing.T, onlyCEL bool) {
		for _, test := range tests {
			if _, got := probe(t, "true", test.value, onlyCEL); got != test.want {
				t.Errorf("%s: got %+v, expected %+v", test.value, got, test.want)
			}
		}
	})
}

// A loop over a map goes by key, whatever Go's map does.
func TestLoopsHaveAnOrder(t *testing.T) {
	want := rules.JSONValue(`["a","b","c","d","e"]`)
	for range 20 {
		if _, got := probe(t, "true", `{'e': 1, 'b': 2, 'c': 3, 'a': 4, 'd': 5}.map(k, k)`, false); got != want {
			t.Fatalf("got %+v, expected %+v", got, want)
		}
		if _, got := probe(t, "true", `[dyn({'e': 1, 'b': 2}), {'c': 3, 'a': 4, 'd': 5}].map(m, m.map(k, k))`, false); got != rules.JSONValue(`[["b","e"],["a","c","d"]]`) {
			t.Fatalf("got %+v", got)
		}
	}
}

// Loops are counted as they run, so that no event can hold a partition up.
func TestLoopsAreBounded(t *testing.T) {
	set := parseText(t, `rules:
  - name: r
    on: a
    where: event.list.all(x, event.list.all(y, event.list.all(z, x + y + z >= 0)))
    send: {channel: c, class: ad, template: t}
`, false)
	ask := func(n int) rules.Truth {
		list := rules.JSONValue("[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]")
		e := eventOf(set, "e", "a", start, fields{"list": list})
		return set.Rules[0].Where(&rules.Env{Set: set, State: &rules.State{}, Event: e, Now: start})
	}
	if got := ask(5); got != rules.True {
		t.Errorf("125 rounds: got %v, expected true", got)
	}
	if got := ask(2000); got != rules.Unknown {
		t.Errorf("8,000,000,000 rounds: got %v, expected unknown", got)
	}
}

// A set is shared by the workers of all partitions.
func TestConcurrentUse(t *testing.T) {
	set := parseText(t, `rules:
  - name: r
    on: a
    where: size(event.name) == event.n && event.items.exists(i, i == event.n)
    send: {channel: c, class: ad, template: t}
`, false)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			name := strings.Repeat("x", n)
			e := eventOf(set, "e", "a", start, fields{"name": rules.StringValue(name), "n": rules.IntValue(int64(n)), "items": rules.JSONValue("[0,1,2,3]")})
			env := &rules.Env{Set: set, State: &rules.State{}, Event: e, Now: start}
			for range 500 {
				if got := set.Rules[0].Where(env); got != rules.True {
					t.Errorf("worker %d: got %v, expected true", n, got)
					return
				}
			}
		})
	}
	wg.Wait()
}
