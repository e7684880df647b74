package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// parsePercent reads 20% or 0.2.
func parsePercent(s string) (float64, error) {
	text, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%q is not a share: write it like 20%% or 0.2", s)
	}
	if percent {
		x /= 100
	}
	return x, nil
}

// parseWeights reads control=20,treatment=80.
func parseWeights(s string) (map[string]float64, error) {
	out := map[string]float64{}
	for _, part := range strings.Split(s, ",") {
		name, weight, found := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		w, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		if !found || name == "" || err != nil || !(w > 0) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("--weights %q: %q is not ARM=WEIGHT with a weight above 0; write them like control=20,treatment=80", s, part)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("--weights %q: arm %q is given twice", s, name)
		}
		out[name] = w
	}
	return out, nil
}

var (
	spanText = regexp.MustCompile(`^([0-9]+(ms|s|m|h|d|w))+$`)
	spanPart = regexp.MustCompile(`([0-9]+)(ms|s|m|h|d|w)`)
	spanUnit = map[string]int64{"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
)

// parseSpan reads a duration as rules write it, such as 14d or 1d12h, in ms.
func parseSpan(s string) (int64, error) {
	if !spanText.MatchString(s) {
		return 0, fmt.Errorf("%q is not a duration: write it like 90s, 30m, 24h, 14d, 2w or 1d12h", s)
	}
	total := int64(0)
	for _, part := range spanPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseInt(part[1], 10, 64)
		unit := spanUnit[part[2]]
		if err != nil || n > (math.MaxInt64/4-total)/unit {
			return 0, fmt.Errorf("%q is too long a duration", s)
		}
		total += n * unit
	}
	if total == 0 {
		return 0, fmt.Errorf("%q: a duration above 0", s)
	}
	return total, nil
}
