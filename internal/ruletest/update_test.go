package ruletest

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func all(*Test) bool { return true }

const threeSignups = `    events:
      - {at: 1s, type: signup, user: u1}
      - {at: 2s, type: signup, user: u2}
      - {at: 3s, type: signup, user: u3}
`

func TestUpdate(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{
			"one entry of three, comments kept",
			one("    # what comes first\n" + threeSignups + `    expect: # all of it

      # the first
      - {at: 1s, rule: hello, decision: sent}   # fine
      # the second
      - {at: 9s, user: u2, decision: control} # why not
      - rule: hello   # a block
        at: 3s
    until: 1d # the end
  # the other test
  - name: y
    events: []
    expect: []
`),
			one("    # what comes first\n" + threeSignups + `    expect: # all of it

      # the first
      - {at: 1s, rule: hello, decision: sent}   # fine
      # the second
      - {at: 2s, user: u2, decision: sent} # why not
      - rule: hello   # a block
        at: 3s
    until: 1d # the end
  # the other test
  - name: y
    events: []
    expect: []
`),
		},
		{
			"an entry too many and one too few",
			one(threeSignups + `    expect:
    - {at: 0s, user: u0, rule: hello} # gone
    - {at: 1s, user: u1}
    - {at: 3s, user: u3}
`),
			one(threeSignups + `    expect:
    # gone
    - {at: 1s, user: u1}
    - {at: 2s, user: u2, rule: hello, decision: sent, template: hi}
    - {at: 3s, user: u3}
`),
		},
		{
			"a block entry with comments inside",
			one(threeSignups + `    expect:
      - {at: 1s}
      - # an entry
        rule: hello
        # at the wrong time
        at: 5s
        user: u2 # him
      - {at: 3s}
`),
			one(threeSignups + `    expect:
      - {at: 1s}
      # an entry
      # at the wrong time
      - {rule: hello, at: 2s, user: u2} # him
      - {at: 3s}
`),
		},
		{
			"nothing happens any more",
			one("    events: []\n    expect: # all\n      # one\n      - {at: 1s, rule: hello}\n      - rule: hello\n"),
			one("    events: []\n    expect: [] # all\n      # one\n"),
		},
		{
			"an empty list", one(threeSignups + "    expect: [] # nothing yet\n    until: 2d\n"),
			one(threeSignups + `    expect: # nothing yet
      - {at: 1s, user: u1, rule: hello, decision: sent, template: hi}
      - {at: 2s, user: u2, rule: hello, decision: sent, template: hi}
      - {at: 3s, user: u3, rule: hello, decision: sent, template: hi}
    until: 2d
`),
		},
		{
			"a list in brackets over lines, with a comment",
			one(threeSignups + "    expect: [{at: 1s}, # ü first\n      {at: 2s},\n    ]\n"),
			one(threeSignups + `    expect:
      # ü first
      - {at: 1s}
      - {at: 2s}
      - {at: 3s, user: u3, rule: hello, decision: sent, template: hi}
`),
		},
		{
			"no expect at all", one("    events:\n      - {at: 1s, type: signup, user: \"u 1\"}\n\n# the end"),
			one("    events:\n      - {at: 1s, type: signup, user: \"u 1\"}\n    expect:\n      - {at: 1s, user: \"u 1\", rule: hello, decision: sent, template: hi}\n\n# the end"),
		},
		{"an expect without a value", one("    expect:\n" + threeSignups), one(`    expect:
      - {at: 1s, user: u1, rule: hello, decision: sent, template: hi}
      - {at: 2s, user: u2, rule: hello, decision: sent, template: hi}
      - {at: 3s, user: u3, rule: hello, decision: sent, template: hi}
` + threeSignups)},
		{
			"no line end at the end", strings.TrimSuffix(one("    events:\n      - {at: 1s, type: signup, user: u1}\n"), "\n"),
			strings.TrimSuffix(one("    events:\n      - {at: 1s, type: signup, user: u1}\n    expect:\n      - {at: 1s, user: u1, rule: hello, decision: sent, template: hi}\n"), "\n"),
		},
		{
			"in braces", head + "  - {name: x, events: [{at: 1s, type: signup, user: u1}], expect: []}\n",
			head + "  - {name: x, events: [{at: 1s, type: signup, user: u1}], expect: [{at: 1s, user: u1, rule: hello, decision: sent, template: hi}]}\n",
		},
		{
			"a subset keeps to what it was about",
			one("    subset: true\n" + threeSignups + "    expect:\n      - {user: u2, decision: control}\n      - {user: u9, rule: hello}\n"),
			one("    subset: true\n" + threeSignups + "    expect:\n      - {user: u2, decision: sent}\n"),
		},
		{
			"data, times and texts", one(cartEvents + "    expect:\n      - {rule: cart, user: u1, at: 1d, step: 3, data: {}, due: 1d, expires: 1d}\n"),
			one(cartEvents + `    expect:
      - {rule: cart, user: u1, at: 7d, step: 0, data: {note: "a: b", orders: 0, price: 10, until: "2026-01-10T00:00:00Z"}, due: 7d, expires: 8d}
`),
		},
		{
			"keys that say nothing any more",
			one(strings.Replace(cartEvents, "    arms: {coupon: treatment}\n", "", 1) + "      - {at: 1h, type: purchase, user: u1, cart: k1}\n    expect:\n" +
				"      - {rule: cart, at: 1h, arm: treatment, data: {a: 1}, because: {orders: 0}, label: x, value: 1, again: true, instance: k2}\n"),
			one(strings.Replace(cartEvents, "    arms: {coupon: treatment}\n", "", 1) + "      - {at: 1h, type: purchase, user: u1, cart: k1}\n    expect:\n" +
				"      - {rule: cart, at: 1h, arm: \"\", data: {}, because: {}, label: \"\", value: null, again: false, instance: k1}\n" +
				"      - {at: 1h, user: u1, rule: hello, decision: sent, template: hi}\n"),
		},
		{
			"a line end of two bytes, a byte order mark", "\ufeff" + strings.ReplaceAll(one(threeSignups+"    expect:\n      - {at: 1s} # a\n      - {at: 2s} # b\n"), "\n", "\r\n"),
			"\ufeff" + strings.ReplaceAll(one(threeSignups+"    expect:\n      - {at: 1s} # a\n      - {at: 2s} # b\n      - {at: 3s, user: u3, rule: hello, decision: sent, template: hi}\n"), "\n", "\r\n"),
		},
		{"nothing to change", one(threeSignups + "    expect: [{}]\n"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.to == "" {
				c.from = strings.Replace(c.from, "[{}]", "[{at: 1s}, {at: 2s}, {at: 3s}] # as it is", 1)
				c.to = c.from
			}
			got, changed, err := mustFile(t, c.from).Update(all)
			if err != nil {
				t.Fatalf("%v\n%s", err, got)
			}
			if got != c.to {
				t.Errorf("got\n%s\nwant\n%s", got, c.to)
			}
			if (len(changed) == 0) != (c.from == c.to) {
				t.Errorf("%d changed", len(changed))
			}
		})
	}
}

func TestUpdateRefusesWhatItWouldSpoil(t *testing.T) {
	for name, text := range map[string]string{
		"in braces with a comment": head + "  - {name: x, events: [{at: 1s, type: signup, user: u1}], expect: [ # all\n    ]}\n",
		"in braces without expect": head + "  - {name: x, events: [{at: 1s, type: signup, user: u1}]}\n",
		"an anchor used later": one("    events: [{at: 1s, type: signup, user: u1}]\n    expect:\n      - &x {at: 2s, rule: hello}\n") +
			"  - name: y\n    events: [{at: 2s, type: signup, user: u1}]\n    expect:\n      - *x\n",
	} {
		if got, _, err := mustFile(t, text).Update(all); err == nil {
			t.Errorf("%s: written as\n%s", name, got)
		}
	}
}

// Whatever the expectation was, the updated file passes, keeps what agreed and
// keeps every comment, and updating it again changes nothing.
func TestUpdateProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		users := rapid.SliceOfN(rapid.IntRange(1, 4), 0, 6).Draw(rt, "users")
		var b strings.Builder
		b.WriteString(one("    # top\n    events:\n"))
		if len(users) == 0 {
			b.Reset()
			b.WriteString(one("    # top\n    events: []\n"))
		}
		for i, u := range users {
			fmt.Fprintf(&b, "      - {at: %ds, type: signup, user: u%d}\n", i, u)
		}
		comments := []string{"# top"}
		comment := func(label string) string {
			if !rapid.Bool().Draw(rt, label) {
				return ""
			}
			c := fmt.Sprintf("# c%d;", len(comments))
			comments = append(comments, c)
			return c
		}
		n := rapid.IntRange(0, 6).Draw(rt, "entries")
		if n == 0 {
			b.WriteString("    expect: [] " + comment("empty") + "\n")
		} else {
			b.WriteString("    expect: " + comment("key") + "\n")
		}
		for range n {
			if c := comment("before"); c != "" {
				b.WriteString("      " + c + "\n")
			}
			at, u := rapid.IntRange(0, 6).Draw(rt, "at"), rapid.IntRange(1, 4).Draw(rt, "u")
			if rapid.Bool().Draw(rt, "flow") {
				fmt.Fprintf(&b, "      - {at: %ds, user: u%d, rule: hello} %s\n", at, u, comment("tail"))
			} else {
				fmt.Fprintf(&b, "      - at: %ds %s\n", at, comment("inside"))
				if c := comment("line inside"); c != "" {
					b.WriteString("        " + c + "\n")
				}
				fmt.Fprintf(&b, "        user: u%d %s\n", u, comment("tail"))
			}
		}
		b.WriteString("    until: 1d " + comment("until") + "\n  # end of tests\n")
		comments = append(comments, "# end of tests")
		f := mustFile(t, b.String())
		text, _, err := f.Update(all)
		if err != nil {
			rt.Fatalf("%v\nfrom\n%s\nto\n%s", err, b.String(), text)
		}
		for _, c := range comments {
			if strings.Count(text, c) != 1 {
				rt.Fatalf("the comment %q is there %d times in\n%s\nfrom\n%s", c, strings.Count(text, c), text, b.String())
			}
		}
		again := mustFile(t, text)
		if r := results(t, again)[0]; r.Failed() {
			rt.Fatalf("the updated test fails:\n%s", text)
		}
		if twice, changed, err := again.Update(all); err != nil || len(changed) > 0 || twice != text {
			rt.Fatalf("updated again: %v, %d changed", err, len(changed))
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add(one(cartEvents + "    expect:\n      - {at: 7d, user: u1, rule: cart, decision: sent}\n"))
	f.Add(one(threeSignups + "    subset: true\n    expect: [{at: 1s}, # x\n {user: u2}]\n"))
	f.Add(one("    expect:\n" + threeSignups))
	f.Add("rules: a\ntests:\n- {name: x, events: [&a {at: 0s, type: signup, user: u}, *a], expect: []}")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := file(t, text)
		if err != nil {
			return
		}
		for _, test := range parsed.Tests {
			if r, err := parsed.Run(test); err == nil {
				r.Print(&strings.Builder{})
			}
		}
		if updated, _, err := parsed.Update(all); err == nil {
			if _, err := file(t, updated); err != nil {
				t.Fatalf("updated to what cannot be read: %v\n%s", err, updated)
			}
		}
	})
}
