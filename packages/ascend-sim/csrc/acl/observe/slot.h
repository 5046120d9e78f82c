// SPDX-License-Identifier: Apache-2.0
//
// How an instrument (acl/instruments) attaches to what it watches: the floors below know only the
// interfaces in this folder. An instrument that is off is null there, and costs a load and a test.
#pragma once

namespace ascend_sim {

// The place of one instrument, by its interface.
template <class Instrument>
class Slot {
 public:
  using Make = Instrument* (*)();

  // Null when the configuration does not ask for the instrument; the first call finds that out.
  // Throws what reading a wrong configuration throws.
  static Instrument* Get() {
    static Instrument* const instrument = make_();
    return instrument;
  }

  // While the library is loaded. `make` gives the instrument, which is never destroyed, or null.
  static bool Attach(Make make) {
    make_ = make;
    return true;
  }

 private:
  static inline constinit Make make_ = nullptr;
};

}  // namespace ascend_sim
