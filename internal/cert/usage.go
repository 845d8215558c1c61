// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

var (
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidServerAuth  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// RequestedUsages tells which of serverAuth and clientAuth a request asks for in its extended key usage extension
// (RFC 5280, 4.2.1.12). Other usages are passed over; a request without the extension asks for neither.
func RequestedUsages(request *x509.CertificateRequest) (serverAuth, clientAuth bool) {
	for _, extension := range request.Extensions {
		if !extension.Id.Equal(oidExtKeyUsage) {
			continue
		}
		var usages []asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(extension.Value, &usages); err != nil {
			continue
		}
		serverAuth = serverAuth || slices.ContainsFunc(usages, oidServerAuth.Equal)
		clientAuth = clientAuth || slices.ContainsFunc(usages, oidClientAuth.Equal)
	}
	return serverAuth, clientAuth
}
