package ruletest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

const testRules = `
metrics:
  orders: {count: purchase, within: 30d}
experiments:
  coupon:
    arms: [{name: control, weight: 50}, {name: treatment, weight: 50}]
rules:
  - name: cart
    on: add_to_cart
    key: event.cart
    wait: 7d
    unless: [{on: purchase, where: event.cart == trigger.cart}]
    when: orders == 0
    expire_after: 24h
    experiment: coupon
    send: {channel: push, class: ad, template: c10, data: {price: trigger.price, orders: orders, until: now + duration("48h"), note: "'a: b'"}}
  - name: hello
    on: [signup, purchase]
    send: {channel: email, class: transactional, template: hi}
`

// file parses a test file against testRules.
func file(t *testing.T, text string) (*File, error) {
	t.Helper()
	return parse("cart.test.yaml", text, func(paths ...string) (*rules.Set, error) {
		return rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(testRules)}})
	})
}

func mustFile(t *testing.T, text string) *File {
	t.Helper()
	f, err := file(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// results runs all tests of a file.
func results(t *testing.T, f *File) []*Result {
	t.Helper()
	var out []*Result
	for _, test := range f.Tests {
		r, err := f.Run(test)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

const head = "rules: rules.yaml\ntests:\n"

// one is a test file of one test.
func one(body string) string { return head + "  - name: x\n" + body }

const cartEvents = `    arms: {coupon: treatment}
    events:
      - {at: 0s, type: add_to_cart, user: u1, cart: k1, price: 10.0}
`

func TestPasses(t *testing.T) {
	for name, text := range map[string]string{
		"sent, with everything": one(cartEvents + `    expect:
      - {at: 7d, user: u1, rule: cart, decision: sent, instance: k1, step: 0, channel: push, class: ad, template: c10, experiment: coupon,
         arm: treatment, due: 7d, expires: 8d, trigger: e1, data: {price: 10, orders: 0.0, until: 9d, note: "a: b"}, because: {}}
`),
		"times as times": one(`    start: 2026-03-01T10:00:00+09:00
` + cartEvents + `    expect:
      - {at: 2026-03-08T01:00:00Z, rule: cart, decision: sent, data: {price: 10.0, orders: 0, until: 2026-03-10T01:00:00Z, note: "a: b"}}
`),
		"the file's start": "rules: [rules.yaml]\nstart: 2026-03-01T10:00:00Z\ntests:\n  - name: x\n" + cartEvents + `    expect: [{at: 2026-03-08T10:00:00Z, rule: cart, decision: sent}]
`,
		"the other arm": one(strings.Replace(cartEvents, "coupon: treatment", "coupon: control", 1) + `    expect: [{at: 7d, rule: cart, decision: control, arm: control}]
`),
		"cancelled, and at the same time another": one(cartEvents + `      - {at: 6d, type: purchase, user: u1, cart: k1}
    expect:
      - {at: 6d, user: u1, rule: cart, decision: cancelled}
      - {at: 6d, user: u1, rule: hello, decision: sent}
`),
		"until ends it": one(cartEvents + `    until: 6d23h59m59s999ms
    expect: []
`),
		"until reaches it": one(cartEvents + `    until: 7d
    expect: [{at: 7d, decision: sent}]
`),
		"by time, then user, not as decided": one(`    events:
      - {at: 1s, type: signup, user: u2}
      - {at: 1s, type: signup, user: u1}
      - {at: 0s, type: signup, user: u3}
    expect: [{user: u3}, {user: u1}, {user: u2}]
`),
		"a subset, in any order, the vague one last": one(`    subset: true
    events:
      - {at: 0s, type: signup, user: u1}
      - {at: 1s, type: signup, user: u2}
      - {at: 2s, type: signup, user: u3}
    expect: [{rule: hello}, {user: u1}]
`),
		"a repeated id is ignored": one(`    events:
      - {at: 0s, type: signup, user: u1, id: same}
      - {at: 1s, type: signup, user: u1, id: same}
    expect: [{at: 0s, trigger: same}]
`),
		"numbers as ids, values of every type": one(`    events:
      - {at: 0s, type: signup, user: 17, a: 1, b: 1.0, c: true, d: [1, x], e: {f: null}, g: "1"}
    expect: [{user: 17, decision: sent}]
`),
		"because names values": one(`    events:
      - {at: 0s, type: purchase, user: u1}
      - {at: 1s, type: add_to_cart, user: u1, cart: 5, price: 1.5}
    expect: [{rule: hello}, {at: 7d1s, rule: cart, decision: condition, because: {orders: 1}}]
`),
		"anchors": one(`    events:
      - &first {at: 0s, type: signup, user: u1, id: a}
      - *first
    expect: [{rule: hello}]
`),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range results(t, mustFile(t, text)) {
				if r.Failed() {
					var b strings.Builder
					r.Print(&b)
					t.Errorf("failed:\n%s", b.String())
				}
			}
		})
	}
}

const widerRules = `
attributes:
  agreed: {type: bool, from: event.agreed, on: signup}
audiences:
  everybody: user.agreed == true || user.agreed == false
experiments:
  x:
    arms: [{name: control, weight: 50}, {name: b, weight: 50}]
    goal: {on: purchase, within: 10d, value: event.revenue}
holdout: {percent: 100, salt: all}
policy:
  quiet_hours: {class: ad, from: "21:00", to: "08:00"}
  consent: {class: ad, require: agreed}
  caps: {max: 2, per: 1d}
rules:
  - name: night
    on: search
    experiment: x
    send: {channel: push, class: ad, template: t}
  - name: series
    on: signup
    steps:
      - send: {channel: email, class: transactional, template: first}
      - wait_for: {on: click, within: 1d}
        then: [{send: {channel: email, class: transactional, template: clicked}}]
        else: [{send: {channel: email, class: transactional, template: not_clicked}}]
  - name: daily
    schedule: {cron: "0 12 * * *"}
    audience: everybody
    send: {channel: email, class: transactional, template: noon}
`

// What the rest of the language can do can be expected as well.
func TestTheWholeLanguage(t *testing.T) {
	const text = "rules: r\ntests:\n" + `  - name: put off, sent in the morning, converted twice
    holdout: false
    arms: {x: b}
    events:
      - {at: 0s, type: signup, user: u1, agreed: true}
      - {at: 22h, type: search, user: u1}
      - {at: 2d, type: purchase, user: u1, revenue: 12.5}
      - {at: 3d, type: purchase, user: u1, revenue: 3}
    until: 3d
    subset: true
    expect:
      - {at: 22h, rule: night, decision: deferred, due: 22h}
      - {at: 1d8h, rule: night, decision: sent, arm: b, due: 1d8h}
      - {at: 2d, rule: night, decision: converted, experiment: x, arm: b, value: 12.5, again: false}
      - {at: 3d, rule: night, decision: converted, value: 3, again: true}
  - name: no consent
    holdout: false
    events: [{at: 0s, type: signup, user: u1, agreed: false}, {at: 9h, type: search, user: u1}]
    until: 10h
    subset: true
    expect: [{at: 9h, rule: night, decision: consent}]
  - name: held out
    events: [{at: 0s, type: signup, user: u1, agreed: true}, {at: 9h, type: search, user: u1}]
    expect: [{at: 0s, rule: series, decision: holdout}, {at: 9h, rule: night, decision: holdout}]
  - name: clicked
    holdout: false
    events: [{at: 0s, type: signup, user: u1}, {at: 1h, type: click, user: u1}]
    expect: [{at: 0s, template: first, step: 0}, {at: 1h, template: clicked, step: 1}]
  - name: not clicked, without until the schedule does not go on
    holdout: false
    events: [{at: 0s, type: signup, user: u1, agreed: true}]
    expect:
      - {at: 0s, template: first, step: 0}
      - {at: 12h, rule: daily, decision: sent, trigger: schedule/2026-01-01T12:00:00Z}
      - {at: 1d, template: not_clicked, step: 2}
  - name: the schedule alone
    holdout: false
    events: [{at: 0s, type: signup, user: u1, agreed: true}, {at: 1s, type: click, user: u1}]
    until: 2d13h
    expect: [{rule: series}, {rule: series}, {at: 12h, rule: daily}, {at: 1d12h, rule: daily}, {at: 2d12h, rule: daily}]
`
	f, err := parse("wide.test.yaml", text, func(...string) (*rules.Set, error) {
		return rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: []byte(widerRules)}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results(t, f) {
		if r.Failed() {
			var b strings.Builder
			r.Print(&b)
			t.Errorf("%s:\n%s", r.Test.Name, b.String())
		}
	}
}

// Each of these would pass if the key were not compared.
func TestEachKeyIsCompared(t *testing.T) {
	for _, wrong := range []string{
		"at: 7d1ms", "user: u2", "rule: hello", "decision: cancelled", "instance: k2", "step: 1", "channel: sms", "class: transactional",
		"template: c11", "experiment: other", "arm: control", "due: 6d", "expires: 7d", "trigger: e2",
		"data: {}", "data: {price: 11, orders: 0, until: 9d, note: 'a: b'}", "data: {price: 10, orders: 0, until: 10d, note: 'a: b'}",
		"data: {price: 10, orders: 0, until: 9d}", "data: {price: 10, orders: 0, until: 9d, note: 'a: b', more: 1}", `data: {price: "10", orders: 0, until: 9d, note: 'a: b'}`,
		"because: {orders: 1}", "label: ad", "value: 5", "again: true",
	} {
		f := mustFile(t, one(cartEvents+"    expect: [{"+wrong+"}]\n"))
		if r := results(t, f)[0]; !r.Failed() {
			t.Errorf("%s passes", wrong)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"another decision", one(strings.Replace(cartEvents, "treatment", "control", 1) + `    expect:
      - {at: 7d, user: u1, rule: cart, decision: sent, template: c10}
`), []string{
			"│ expected         │ 7d │ u1   │ cart │ sent *   │", "│ happened instead │ 7d │ u1   │ cart │ control  │",
			`why: cart of u1 at 7d: not sent: in the control group of coupon (else push "c10"); to test both arms write arms: {coupon: …}`,
		}},
		{"a condition", one(`    events:
      - {at: 0s, type: purchase, user: u1}
      - {at: 1s, type: add_to_cart, user: u1, cart: k1, price: 10.0}
    subset: true
    expect: [{user: u1, rule: cart, decision: sent}]
`), []string{"why: cart of u1 at 7d1s: not sent: the condition (when) did not hold: orders is 1"}},
		{"other data", one(cartEvents + `    expect: [{at: 7d, user: u1, rule: cart, decision: sent, data: {price: 11}}]
`), []string{`{price: 11} *`, `why: cart of u1 at 7d: data is {note: "a: b", orders: 0, price: 10, until: "2026-01-10T00:00:00Z"}`}},
		{"nothing expected", one(cartEvents + "    expect: []\n"), []string{"│ happened, not expected │ 7d │ u1   │ cart │ sent     │"}},
		{"still pending", one(cartEvents + `    until: 6d
    expect: [{at: 7d, user: u1, rule: cart, decision: sent}]
`), []string{"│ expected │ 7d │ u1   │ cart │ sent     │", "why: cart of u1 is still pending at 6d: due at 7d"}},
		{"no event", one(cartEvents + `    expect: [{at: 7d, user: u1, rule: cart, decision: sent}, {user: u9, rule: cart}, {user: u1, rule: hello}]
`), []string{"the test has no event of u9", "hello (on: signup, purchase) decided nothing for u1, whose events are: add_to_cart"}},
		{"a type with a typo", one(`    events: [{at: 0s, type: sign_up, user: u1}]
    expect: [{rule: hello, user: u1, decision: sent}]
`), []string{"why: no rule reads events of type sign_up"}},
		{"another order", one(`    events:
      - {at: 0s, type: signup, user: u1}
      - {at: 0s, type: signup, user: u2}
    expect: [{user: u2}, {user: u1}]
`), []string{"happened, not expected", "why: the same decisions, in another order: expect lists them by time, then user"}},
		{"what a rule test never comes to", one(cartEvents + `    expect: [{user: u1, rule: cart, decision: expired}]
`), []string{"why: in a rule test everything fires on time: expired comes up in the daemon alone"}},
		{"another time", one(cartEvents + `    expect: [{at: 6d, user: u1, rule: cart, decision: sent}]
`), []string{"│ expected         │ 6d * │", "why: cart of u1 at 7d: at is 7d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := results(t, mustFile(t, c.text))[0]
			var b strings.Builder
			r.Print(&b)
			if !r.Failed() {
				t.Fatal("passes")
			}
			for _, want := range c.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("no %q in\n%s", want, b.String())
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want, wayOut string }{
		{"", "cart.test.yaml:1:1: the file is empty", "tests:"},
		{"rules: r.yaml\n", "1:1: there is no tests", "add tests"},
		{"tests: []\n", "1:1: there is no rules", "add rules"},
		{"rules: []\ntests: []\n", "1:8: rules is an empty list", "relative to this file"},
		{"rule: r.yaml\ntests: []\n", `1:1: a test file has no key "rule"`, "did you mean rules?"},
		{head + "  - nmae: x\n    events: []\n    expect: []\n", `3:5: a test has no key "nmae"`, "did you mean name?"},
		{head + "  - events: []\n    expect: []\n", "3:5: the test has no name", "add name"},
		{one("    expect: []\n"), "3:5: the test has no events", "add events"},
		{one("    events:\n      - {at: 0s, type: signup}\n    expect: []\n"), "5:9: the event has no user", "an event has at, type and user"},
		{one("    events:\n      - {at: soon, type: signup, user: u1}\n    expect: []\n"), "5:14: at is no time", "1d12h"},
		{one("    events:\n      - {at: 0s, time: 2026-01-01T00:00:00Z, type: signup, user: u1}\n    expect: []\n"), "an event of a test has no time", "write at:"},
		{one("    events:\n      - {at: 0s, type: signup, user: u1, x: .inf}\n    expect: []\n"), "5:45: this YAML is not read: infinity", "plain value"},
		{one("    events: []\n    expect:\n      - {rule: carts}\n"), "6:16: no rule is called carts", "did you mean cart?"},
		{one("    events: []\n    expect:\n      - {rule: cart, decision: send}\n"), `6:32: no decision is called "send"`, "did you mean sent?"},
		{one("    events: []\n    expect:\n      - {rule: cart, desicion: sent}\n"), `6:22: an expectation has no key "desicion"`, "did you mean decision?"},
		{one("    events: []\n    expect:\n      - {}\n"), "6:9: the expectation is empty", "name at least"},
		{one("    events: []\n    expect: {rule: cart}\n"), "5:13: expect cannot be a map", "write a list"},
		{one("    arms: {cupon: control}\n    events: []\n    expect: []\n"), "4:12: no experiment is called cupon", "did you mean coupon?"},
		{one("    arms: {coupon: treatmnt}\n    events: []\n    expect: []\n"), "4:20: the experiment coupon has no arm treatmnt", "did you mean treatment?"},
		{one("    holdout: true\n    events: []\n    expect: []\n"), "4:14: the holdout is on unless", "write holdout: false"},
		{one("    subset: maybe\n    events: []\n    expect: []\n"), "4:13: subset is neither true nor false", "write true or false"},
		{one("    start: 3d\n    events: []\n    expect: []\n"), "4:12: start is no time of RFC 3339", "2026-01-01T09:00:00Z"},
		{one("    events: [{at: 2d, type: signup, user: u1}]\n    until: 1d\n    expect: []\n"), "5:12: until is before the last event", "later time"},
		{head + "  - {name: x, events: [], expect: []}\n  - {name: x, events: [], expect: []}\n", `4:5: a test is called "x" already, in line 3`, "of its own"},
		{one("    events: []\n    events: []\n    expect: []\n"), "the key events is there already, in line 4", "keep one"},
		{one("    events: [\n"), "not YAML", "check the indentation"},
		{one("    events: [*nobody]\n    expect: []\n"), "there is no such anchor", "comes before its alias"},
		{one("    <<: {a: 1}\n    events: []\n    expect: []\n"), "merge keys", "write the keys out"},
		{strings.Repeat("[", 100), "nested too deeply", "check"},
		{"rules: a\ntests: []\n---\nrules: b\n", "4:6: a second YAML document", "a file of its own"},
	} {
		_, err := file(t, c.text)
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%q: error %v", c.text, err)
			continue
		}
		if !slices.ContainsFunc(problems, func(p *rulefile.Problem) bool {
			return strings.Contains(p.Error(), c.want) && strings.Contains(p.WayOut, c.wayOut)
		}) {
			t.Errorf("%q:\n%v\nwant %q with the way out %q", c.text, err, c.want, c.wayOut)
		}
	}
}

func TestMistakesOfOneTest(t *testing.T) {
	f := mustFile(t, one("    events: [{at: 0s, type: signup, user: \"a\\0b\"}]\n    expect: []\n"))
	if _, err := f.Run(f.Tests[0]); err == nil || !strings.Contains(err.Error(), "cart.test.yaml:4:14: the event's user has a NUL in it") {
		t.Errorf("error %v", err)
	}
	f = mustFile(t, one("    events: []\n"))
	if _, err := f.Run(f.Tests[0]); err == nil || !strings.Contains(err.Error(), `3:5: the test "x" has no expect`) {
		t.Errorf("error %v", err)
	}
}

// Aliases of aliases are cut off before they fill the memory.
func TestAliasesDoNotExplode(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "  - name: x\n    expect: []\n    events:\n      - {at: 0s, type: signup, user: u1, a0: &a0 [x, x, x, x, x, x, x, x, x, x]")
	for i := 1; i < 9; i++ {
		last := string(rune('0' + i - 1))
		b.WriteString(", a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+last+", ", 9) + "*a" + last + "]")
	}
	b.WriteString("}\n")
	if _, err := file(t, b.String()); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("error %.200v", err)
	}
}

func TestFindAndLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rules.yaml": testRules, "b_test.yaml": "", "sub/a.test.yml": "", ".hidden/c.test.yaml": "", "notes.yaml": "",
		"sub/deep/d.test.yaml": "rules: [../../rules.yaml]\ntests: [{name: x, events: [{at: 0s, type: signup, user: u1}], expect: [{rule: hello}]}]\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(dir, filepath.Join(dir, "b_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"b_test.yaml", "sub/a.test.yml", "sub/deep/d.test.yaml"} {
		if len(found) != 3 || found[i] != filepath.Join(dir, want) {
			t.Fatalf("found %v", found)
		}
	}
	f, err := Load(found[2])
	if err != nil {
		t.Fatal(err)
	}
	if r := results(t, f)[0]; r.Failed() {
		t.Errorf("failed: %v", r.Why)
	}
	if _, err := Find(filepath.Join(dir, ".hidden", "nowhere")); err == nil || !strings.Contains(err.Error(), "name a test file") {
		t.Errorf("error %v", err)
	}
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no rule test in the folder") {
		t.Errorf("error %v", err)
	}
}

func TestOffsetsAreReadAsTheyAreWritten(t *testing.T) {
	for _, ms := range []int64{0, 1, 999, 1000, 61_001, 86_399_999, 86_400_000, 9 * 86_400_000, 400*86_400_000 + 3_600_000 + 5} {
		text := formatMoment(defaultStart+ms, defaultStart)
		if back, ok := parseMoment(text, defaultStart); !ok || back != defaultStart+ms {
			t.Errorf("%d ms is written %s and read %d, %t", ms, text, back-defaultStart, ok)
		}
	}
	if text := formatMoment(defaultStart-1, defaultStart); text != "2025-12-31T23:59:59.999Z" {
		t.Errorf("before the start: %s", text)
	}
}

func TestJUnit(t *testing.T) {
	f := mustFile(t, head+"  - name: good\n    events: []\n    expect: []\n  - name: b<ad\n"+cartEvents+"    expect: []\n  - name: broken\n    events: []\n")
	report := Report{Path: f.Path}
	for _, test := range f.Tests {
		r, err := f.Run(test)
		report.Results = append(report.Results, Outcome{Test: test, Result: r, Err: err})
	}
	var b strings.Builder
	if err := WriteJUnit(&b, []Report{report, {Path: "other.test.yaml", Err: errors.New("no rules")}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<testsuites tests="4" failures="1" errors="2">`, `<testsuite name="cart.test.yaml" tests="3" failures="1" errors="1">`,
		`<testcase name="b&lt;ad" classname="cart.test.yaml" file="cart.test.yaml" line="6" time="0">`, "happened, not expected", "has no expect", "no rules",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
