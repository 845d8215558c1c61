// SPDX-License-Identifier: AGPL-3.0-only

// Package dialect translates relation data into asks and grants and back, for the two wire dialects of
// tls-certificates and for certificate_transfer. It reads hostile input: each item stands alone, and what cannot be
// understood becomes a Denial with a reason while all others are served.
//
// What follows is the protocol that comments in this package cite by section ("protocol A.3"): what charms in use write
// and read. Nobody says which dialect is spoken: both have the interface name tls-certificates, and only the content of
// a databag tells (B.10).
//
// # A. The legacy dialect
//
// The provider makes the private keys. Everything is in unit databags, in clear text.
//
// A.2 A requirer's unit writes:
//
//	unit_name                    its own name, mostly munged ("etcd_0"), since another model gives it another name
//	common_name, sans            the first server request; sans is a JSON list of DNS names and addresses
//	certificate_name             retired; written, never read
//	cert_requests                {"<common name>": {"sans": […]}}: further server requests
//	client_cert_requests         the same for clients; sans may be null
//	application_cert_requests    the same for one certificate of all units: the union of all their names
//	intermediate_cert_requests   the same for CA certificates
//
// A server request goes to the top level when that is free or already has its common name, else to cert_requests. The
// same common name again with other names asks for a new certificate.
//
// A.3 A provider's unit writes PEM without other text, each ending in one newline:
//
//	ca, chain                             what to trust; what to append to a leaf, absent when the CA is a root
//	client.cert, client.key               the client certificate that all requirers share
//	<unit>.server.cert, <unit>.server.key the answer to the first server request, which stands only there
//	<unit>.processed_requests             {"<common name>": {"cert": …, "key": …}}; also processed_client_requests,
//	                                      processed_intermediate_requests and processed_application_requests
//
// The application's certificate is under "app_data" in place of a common name. The reactive requirer looks there for an
// intermediate one too.
//
// A.5 Requirers merge the databags of all the provider's units in any order, so all units must publish the same.
//
// A.6 Requirers do nothing, and some do not even ask, before they see ca, client.cert and client.key. The provider
// therefore publishes these to whoever writes unit_name.
//
// A.9 The retired Python library v0 wrote lists instead of objects, and its answers under the bare common name. It is
// not served.
//
// # B. The CSR dialect
//
// Keys never leave the requirer. Values are JSON in databags of either kind on the requirer's side, and in the
// application databag on the provider's.
//
// B.1 The requirer writes certificate_signing_requests; the provider writes certificates, request_errors and
// capabilities. An absent list and an empty one mean the same. Keys of others are never cleared.
//
// B.2 A request is {"certificate_signing_request": PEM, "ca": bool}. Library v1 writes no ca, v4 takes no databag in
// which one is missing.
//
// B.3 An answer is {"certificate_signing_request", "certificate", "ca", "chain"} and perhaps "revoked": true, never
// null. The request is echoed byte for byte, because requirers compare texts. The chain is a list, leaf first and root
// last. One unreadable PEM anywhere makes a requirer refuse all answers.
//
// B.4 An error is {"certificate_signing_request", "csr", "error": {"code", "name", "message", "reason"}}; the library
// reads csr, the interface's description says certificate_signing_request. A request has an answer or an error, never
// both.
//
// B.10 A remote databag with certificate_signing_requests speaks this dialect, one with any key of A.2 the legacy one;
// one with both is served in both.
//
// # C. certificate_transfer
//
// C.1 Version 0: the provider's units write ca, certificate (PEM), chain (JSON list) and version "0".
//
// C.2 Version 1: the requirer's leader writes version "1" into its application databag; the provider's leader answers
// in its own with certificates (JSON list of PEM) and version "1".
//
// Where to look next: detect.go, which tells the dialects apart, and legacy.go and csr.go, one file for each; then
// package provider, which decides about asks.
package dialect
