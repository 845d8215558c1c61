// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/stretchr/testify/require"
)

// writeCertificate makes a CA, which is not the authority's, and has it sign the server's certificate.
func (s *Server) writeCertificate() {
	s.t.Helper()
	from := time.Now().Add(-time.Hour)
	caKey, key := s.generateKey(), s.generateKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Vault's TLS CA"}, NotBefore: from, NotAfter: from.AddDate(0, 0, 2),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Vault"}, NotBefore: from, NotAfter: from.AddDate(0, 0, 2),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	s.ca = s.sign(ca, ca, caKey.Public(), caKey)
	require.NoError(s.t, os.WriteFile(s.file("server.crt"), s.sign(server, ca, key.Public(), caKey), 0o600))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(s.t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	require.NoError(s.t, os.WriteFile(s.file("server.key"), block, 0o600))
}

func (s *Server) generateKey() *ecdsa.PrivateKey {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	return key
}

func (s *Server) sign(certificate, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) []byte {
	s.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, public, key)
	require.NoError(s.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
