// SPDX-License-Identifier: AGPL-3.0-only

package dialect

// Numbers of the CSR dialect's request_errors (protocol B.4).
const (
	wireBadIP       = 101
	wireBadName     = 102
	wireBadWildcard = 103
	wireUnavailable = 201
	wireOther       = 999
)

// Codes are all codes, in the order of their declaration.
func Codes() []Code {
	return []Code{
		Malformed, TooLarge, TooMany, BadSignature, WeakKey, BadName, BadIP, BadWildcard, BadIdentity, BadUsage, BadExtension, WrongUnit,
		Revoked, Repeated, CANotAllowed, DialectOff, Unsignable, NoAuthority, NotSigned,
	}
}

// Temporary reports whether the same ask may well be granted later without anybody changing it, so that what it has
// now is not taken from it.
func (c Code) Temporary() bool { return c == NoAuthority || c == NotSigned || c == Repeated }

// Wire gives a code as request_errors has it.
func (c Code) Wire() (number int, name string) {
	switch c {
	case BadIP:
		return wireBadIP, "IP_NOT_ALLOWED"
	case BadName, BadIdentity:
		return wireBadName, "DOMAIN_NOT_ALLOWED"
	case BadWildcard:
		return wireBadWildcard, "WILDCARD_NOT_ALLOWED"
	case NoAuthority:
		return wireUnavailable, "SERVER_NOT_AVAILABLE"
	default:
		return wireOther, "OTHER"
	}
}

// codeOf gives what a provider's error means. Other providers write free text as the reason; signet writes its code.
func codeOf(number int, reason string) Code {
	switch number {
	case wireBadIP:
		return BadIP
	case wireBadName:
		if Code(reason) == BadIdentity {
			return BadIdentity
		}
		return BadName
	case wireBadWildcard:
		return BadWildcard
	case wireUnavailable:
		return NoAuthority
	}
	switch code := Code(reason); code {
	case Malformed, TooLarge, TooMany, BadSignature, WeakKey, WrongUnit, CANotAllowed, BadUsage, BadExtension, DialectOff, Unsignable, Revoked, Repeated:
		return code
	}
	return NotSigned
}
