// SPDX-License-Identifier: AGPL-3.0-only

// Package page_test has Chromium judge the page: in both themes, on a desk and on a phone, that it is readable, needs
// nothing from elsewhere and breaks no policy of its own. It is a module of its own because nothing that ships drives a browser.
// SIGNET_CHROMIUM names the program, SIGNET_SHOTS a folder for pictures.
//
// Look next at page_test.go, then at package page, which makes what is looked at.
package page_test
