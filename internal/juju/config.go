// SPDX-License-Identifier: AGPL-3.0-only

package juju

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config reads option values. Each getter gives the default for an unset option, and records an OptionError for a
// value that cannot be used, so that one bad option never hides another.
type Config struct {
	Values map[string]any
	Errors []OptionError
}

// OptionError says why the value of an option cannot be used.
type OptionError struct{ Option, Reason string }

func (e OptionError) Error() string { return fmt.Sprintf("config %s: %s", e.Option, e.Reason) }

// Refuse records that an option's value cannot be used.
func (c *Config) Refuse(option, format string, args ...any) {
	fault := OptionError{option, fmt.Sprintf(format, args...)}
	if !slices.Contains(c.Errors, fault) { // an option may be read twice
		c.Errors = append(c.Errors, fault)
	}
}

// Text gives a string option without surrounding space.
func (c *Config) Text(option, byDefault string) string {
	value, set := c.Values[option]
	if !set {
		return byDefault
	}
	text, ok := value.(string)
	if !ok {
		c.Refuse(option, "must be text")
		return byDefault
	}
	if text = strings.TrimSpace(text); text == "" {
		return byDefault
	}
	return text
}

// Words gives a space separated string option.
func (c *Config) Words(option string) []string { return strings.Fields(c.Text(option, "")) }

// Choice gives a string option that must be one of the choices; the first is the default.
func (c *Config) Choice(option string, choices ...string) string {
	text := c.Text(option, choices[0])
	for _, choice := range choices {
		if text == choice {
			return text
		}
	}
	c.Refuse(option, "%q is none of %s", text, strings.Join(choices, ", "))
	return choices[0]
}

// Flag gives a boolean option.
func (c *Config) Flag(option string, byDefault bool) bool {
	value, set := c.Values[option]
	if !set {
		return byDefault
	}
	flag, ok := value.(bool)
	if !ok {
		c.Refuse(option, "must be true or false")
		return byDefault
	}
	return flag
}

// Count gives an integer option between two limits.
func (c *Config) Count(option string, byDefault, least, most int) int {
	value, set := c.Values[option]
	if !set {
		return byDefault
	}
	var count float64 // Juju's transports give integers in three types
	switch number := value.(type) {
	case int:
		count = float64(number)
	case int64:
		count = float64(number)
	case float64:
		count = number
	default:
		c.Refuse(option, "must be a number")
		return byDefault
	}
	if count != float64(int(count)) || count < float64(least) || count > float64(most) {
		c.Refuse(option, "must be a whole number from %d to %d", least, most)
		return byDefault
	}
	return int(count)
}

// Span gives a duration option: a whole number with a unit m, h, d or w; a bare number counts days.
func (c *Config) Span(option string, byDefault time.Duration) time.Duration {
	text := c.Text(option, "")
	if text == "" {
		return byDefault
	}
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	digits, unit := text, 24*time.Hour
	if known, found := units[text[len(text)-1]]; found {
		digits, unit = text[:len(text)-1], known
	}
	const century = 100 * 366 * 24 * time.Hour
	count, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || count == 0 || time.Duration(count) > century/unit {
		c.Refuse(option, "%q is not a duration such as 12h, 90d or 52w, at most 100 years", text)
		return byDefault
	}
	return time.Duration(count) * unit
}
