package backtest

import (
	"cmp"

	"github.com/nudged/nudged/rules"
)

// Assumptions are what a what-if is reckoned with.
type Assumptions struct {
	// Conversion is the share of those reached who would reach the goal, 0 to 1;
	// nil: no what-if.
	Conversion *float64 `json:"conversion"`
	// Basket is the value of a conversion; 0: the mean of those that happened,
	// where the goal has a value.
	Basket float64 `json:"basket"`
	// SendCost is the cost of a message, CouponCost of a conversion, whose coupon
	// is used; nil: what the rule says.
	SendCost   *float64 `json:"send_cost,omitempty"`
	CouponCost *float64 `json:"coupon_cost,omitempty"`
}

// Impact is what a rule would have done: whom it would have reached, and how many
// of them reached the goal without it.
type Impact struct {
	Reached  int `json:"reached"`  // users sent to at least once
	Messages int `json:"messages"` // sent to them
	// Converted is how many of them reached the goal anyway, within its time from
	// the first message; nil if the rule has no goal.
	Converted *int    `json:"converted,omitempty"`
	Rate      float64 `json:"rate,omitempty"`  // Converted of Reached, 0 to 1
	Worth     float64 `json:"worth,omitempty"` // sum of their first conversions' values
	WhatIf    *WhatIf `json:"what_if,omitempty"`

	valued int // conversions with a value
}

// WhatIf reckons a rule's messages against what happened without them.
type WhatIf struct {
	BuyersBefore float64 `json:"buyers_before"`
	BuyersAfter  float64 `json:"buyers_after"`
	ValueBefore  float64 `json:"value_before"`
	ValueAfter   float64 `json:"value_after"`
	Cost         float64 `json:"cost"`
	Net          float64 `json:"net"` // value after less value before less cost
}

// measure tells a rule's impact, and the part of each day: the messages of that
// day, and the users whose first message came that day.
func (r *ruleTally) measure(goal bool) (all Impact, days map[string]*Impact) {
	all.Messages = r.outcomes[rules.Sent]
	days = map[string]*Impact{}
	for day, outcomes := range r.days {
		days[day] = &Impact{Messages: outcomes[rules.Sent]}
	}
	if goal {
		for _, i := range days {
			i.Converted = new(int)
		}
		all.Converted = new(int)
	}
	for _, u := range r.users {
		for _, i := range [...]*Impact{&all, days[dayOf(u.first)]} {
			i.Reached++
			if !u.converted {
				continue
			}
			*i.Converted++
			if u.known {
				i.valued++
				i.Worth += u.worth
			}
		}
	}
	all.rate()
	for _, i := range days {
		i.rate()
	}
	return all, days
}

func (i *Impact) rate() {
	if i.Converted != nil && i.Reached > 0 {
		i.Rate = float64(*i.Converted) / float64(i.Reached)
	}
}

// whatIf reckons with the assumptions, nil if there is no conversion assumed or
// no goal to begin from.
func (i *Impact) whatIf(a *Assumptions, basket float64, cost rules.Cost) *WhatIf {
	if a.Conversion == nil || i.Converted == nil {
		return nil
	}
	send, coupon := cost.Send, cost.Coupon
	if a.SendCost != nil {
		send = *a.SendCost
	}
	if a.CouponCost != nil {
		coupon = *a.CouponCost
	}
	w := &WhatIf{BuyersBefore: float64(*i.Converted), BuyersAfter: float64(i.Reached) * *a.Conversion}
	w.ValueBefore, w.ValueAfter = w.BuyersBefore*basket, w.BuyersAfter*basket
	w.Cost = float64(i.Messages)*send + w.BuyersAfter*coupon
	w.Net = w.ValueAfter - w.ValueBefore - w.Cost
	return w
}

// basket is the value of a conversion: the one assumed, else the mean of what
// happened.
func (i *Impact) basket(a *Assumptions) float64 {
	mean := 0.0
	if i.valued > 0 {
		mean = i.Worth / float64(i.valued)
	}
	return cmp.Or(a.Basket, mean)
}
