// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math"
	"time"
)

// RenewAt is when to renew a certificate: after two thirds of its life, less up to a twentieth of it. How much less is
// decided by a hash of the serial number, so that certificates issued together are not renewed together, and a
// crash does not draw again.
func RenewAt(certificate *x509.Certificate) time.Time {
	const longest = math.MaxInt64 - time.Second // what Sub cannot say is about 292 years to it
	if certificate.NotAfter.Before(certificate.NotBefore) {
		return certificate.NotBefore
	}
	life := min(certificate.NotAfter.Sub(certificate.NotBefore), longest) + time.Second // inclusive (RFC 5280, 4.1.2.5)
	var serial []byte
	if certificate.SerialNumber != nil {
		serial = certificate.SerialNumber.Bytes()
	}
	sum := sha256.Sum256(serial)
	share := float64(binary.BigEndian.Uint64(sum[:8])) / (1 << 64)
	early := time.Duration(share * float64(life/20))
	return certificate.NotBefore.Add(life/3*2 - early).Truncate(time.Second)
}
