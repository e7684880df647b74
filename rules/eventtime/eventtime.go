// Package eventtime reads and writes the time of an event: RFC 3339 text on
// the outside, Unix milliseconds on the inside. It is pure, imports nothing of
// the project and allocates nothing, because it runs once per event.
package eventtime

// The instants that both directions accept: the years 1 to 9999 in UTC. Outside
// of them RFC 3339 has no notation.
const (
	// MinMilli is 0001-01-01T00:00:00Z in Unix milliseconds.
	MinMilli int64 = -62_135_596_800_000
	// MaxMilli is 9999-12-31T23:59:59.999Z in Unix milliseconds.
	MaxMilli int64 = 253_402_300_799_999
)

const (
	secondMilli = 1000
	minuteMilli = 60 * secondMilli
	hourMilli   = 60 * minuteMilli
	dayMilli    = 24 * hourMilli

	// maxFraction is the number of fractional digits that are read (a
	// nanosecond); more is refused.
	maxFraction = 9
)

// ParseRFC3339 reads one RFC 3339 date-time that fills b, such as
// 2026-01-01T09:00:00.123+09:00, and returns it in Unix milliseconds.
//
// Upper-case T and Z, an offset of at most ±23:59, and one to nine fractional
// digits after a dot are accepted; what is finer than a millisecond is cut off.
// Everything else is refused: days that the month does not have, hour 24,
// second 60 (a leap second), and instants before MinMilli or after MaxMilli.
//
// What it accepts, time.Parse(time.RFC3339Nano) accepts with the same result.
// It deliberately refuses, unlike time.Parse: a comma before the fraction, an
// hour of one digit, more than nine fractional digits, an offset of 24 hours or
// 60 minutes, the year 0, and what leaves the years 1 to 9999 in UTC.
func ParseRFC3339(b []byte) (unixMilli int64, ok bool) {
	// 2026-01-01T00:00:00Z is the shortest form.
	if len(b) < len("2006-01-02T15:04:05Z") {
		return 0, false
	}
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	century, ok1 := twoDigits(b[0], b[1])
	yearOfCentury, ok2 := twoDigits(b[2], b[3])
	month, ok3 := twoDigits(b[5], b[6])
	day, ok4 := twoDigits(b[8], b[9])
	hour, ok5 := twoDigits(b[11], b[12])
	minute, ok6 := twoDigits(b[14], b[15])
	second, ok7 := twoDigits(b[17], b[18])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) {
		return 0, false
	}
	year := century*100 + yearOfCentury
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}

	rest := b[19:]
	var milli int64
	if rest[0] == '.' {
		digits := 0
		unit := int64(100)
		for digits+1 < len(rest) && isDigit(rest[digits+1]) {
			milli += int64(rest[digits+1]-'0') * unit
			unit /= 10
			digits++
		}
		if digits == 0 || digits > maxFraction {
			return 0, false
		}
		rest = rest[1+digits:]
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return 0, false
	}

	unixMilli = daysFromCivil(int64(year), int64(month), int64(day))*dayMilli +
		int64(hour)*hourMilli + int64(minute)*minuteMilli + int64(second)*secondMilli +
		milli - offset
	if unixMilli < MinMilli || unixMilli > MaxMilli {
		return 0, false
	}
	return unixMilli, true
}

// parseOffset reads Z or ±hh:mm and returns how far local time is ahead of UTC,
// in milliseconds.
func parseOffset(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) != len("+09:00") || b[3] != ':' || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	hour, ok1 := twoDigits(b[1], b[2])
	minute, ok2 := twoDigits(b[4], b[5])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false
	}
	offset := int64(hour)*hourMilli + int64(minute)*minuteMilli
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// AppendRFC3339 appends the instant in UTC to dst: 2026-01-01T00:00:00Z, with
// three more digits (….123Z) only when the milliseconds are not zero.
//
// Outside MinMilli..MaxMilli it still writes something readable (a year of more
// than four digits, or with a minus), which ParseRFC3339 refuses.
func AppendRFC3339(dst []byte, unixMilli int64) []byte {
	days := floorDiv(unixMilli, dayMilli)
	inDay := unixMilli - days*dayMilli
	year, month, day := civilFromDays(days)

	dst = appendYear(dst, year)
	dst = append(dst, '-')
	dst = appendTwo(dst, month)
	dst = append(dst, '-')
	dst = appendTwo(dst, day)
	dst = append(dst, 'T')
	dst = appendTwo(dst, inDay/hourMilli)
	dst = append(dst, ':')
	dst = appendTwo(dst, inDay/minuteMilli%60)
	dst = append(dst, ':')
	dst = appendTwo(dst, inDay/secondMilli%60)
	if milli := inDay % secondMilli; milli != 0 {
		dst = append(dst, '.', byte('0'+milli/100))
		dst = appendTwo(dst, milli%100)
	}
	return append(dst, 'Z')
}

func appendYear(dst []byte, year int64) []byte {
	if year < 0 {
		dst = append(dst, '-')
		year = -year
	}
	if year > 9999 {
		dst = appendDigits(dst, year/10_000)
		year %= 10_000
	}
	dst = appendTwo(dst, year/100)
	return appendTwo(dst, year%100)
}

func appendDigits(dst []byte, n int64) []byte {
	if n > 9 {
		dst = appendDigits(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}

func appendTwo(dst []byte, n int64) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func twoDigits(tens, ones byte) (int, bool) {
	t, o := tens-'0', ones-'0'
	return int(t)*10 + int(o), t <= 9 && o <= 9
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// The calendar below counts years from March, so that the leap day is the last
// day of its year and the month lengths follow one linear formula, and repeats
// every 400 years of 146,097 days. The method is Howard Hinnant's, "chrono-
// Compatible Low-Level Date Algorithms".
const (
	daysPerEra      = 146_097
	epochFromMarch0 = 719_468 // days from 0000-03-01 to 1970-01-01
)

// daysFromCivil returns the days from 1970-01-01 to a date of the proleptic
// Gregorian calendar.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yearOfEra := year - era*400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	return era*daysPerEra + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - epochFromMarch0
}

// civilFromDays is the inverse of daysFromCivil.
func civilFromDays(days int64) (year, month, day int64) {
	days += epochFromMarch0
	era := floorDiv(days, daysPerEra)
	dayOfEra := days - era*daysPerEra
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36_524 - dayOfEra/146_096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	fromMarch := (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*fromMarch+2)/5 + 1
	month = fromMarch + 3
	year = era*400 + yearOfEra
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// floorDiv divides towards minus infinity; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
