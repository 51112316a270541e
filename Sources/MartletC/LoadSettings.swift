import CMartlet
import MartletCore
import MartletGraph
import MartletRuntime

/// The caller's `martlet_model_options`, checked.
struct LoadSettings {
  var options = Model.Options()
  var borrowsMemory = false
  var progress: CallerProgress?

  /// `options` may be NULL. Throws `notFound` for an unknown option or mode, `invalidArgument` for a
  /// bad value, and what reading the struct throws.
  init(_ options: UnsafePointer<martlet_model_options>?, isMemory: Bool) throws(MartletError) {
    guard let source = try MartletC.options(options) else { return }
    if let mode = source.math_mode {
      self.options.run.mode = try MathMode(name: String(cString: mode))
    }
    self.options.run.pool = try HandleTable.shared.pool(source.pool, "options.pool")
    if let function = source.progress {
      progress = CallerProgress(function, source.progress_user, CallerProgress.loading)
    }
    let keys = try texts(source.keys, source.option_count, "options.keys")
    let values = try texts(source.values, source.option_count, "options.values")
    for (key, value) in zip(keys, values) { try set(key, value, isMemory: isMemory) }
  }

  private mutating func set(_ key: String, _ value: String, isMemory: Bool) throws(MartletError) {
    let value = OptionText(name: key, text: value)
    switch key {
    case "optimize": options.optimizationLevel = try value.flag() ? 1 : 0
    case "prepare": options.preparesAtFirstRun = try !value.flag()
    case "strict_shapes": options.hasStrictShapes = try value.flag()
    case "borrow_memory" where isMemory: borrowsMemory = try value.flag()
    default:
      guard try options.run.set(value) else {
        throw OptionText.unknown(
          key,
          known: ["optimize", "prepare", "strict_shapes"] + RunOptions.names
            + (isMemory ? ["borrow_memory"] : []))
      }
    }
  }
}

/// The caller's progress function, told one fraction that never falls over all stages.
final class CallerProgress {
  /// The share of each stage of a load, in order.
  static let loading: [(stage: String, share: Double)] = [
    ("read", 0.4), ("convert", 0.2), ("optimize", 0.2), ("prepare", 0.2),
  ]
  static let running: [(stage: String, share: Double)] = [("run", 1)]

  private let function: martlet_progress
  private let user: UnsafeMutableRawPointer?
  private let stages: [(stage: String, share: Double)]
  private var last = 0.0

  init(
    _ function: @escaping martlet_progress, _ user: UnsafeMutableRawPointer?,
    _ stages: [(stage: String, share: Double)]
  ) {
    self.function = function
    self.user = user
    self.stages = stages
  }

  /// Begins anew at 0.
  func restart() { last = 0 }

  /// What MartletImport and MartletGraph call.
  var callback: ProgressCallback {
    { progress in
      var before = 0.0
      for (stage, share) in self.stages {
        if stage == progress.stage {
          let part = Double(progress.completed) / Double(max(progress.total, 1))
          self.last = max(self.last, min(before + share * part, 1))
          break
        }
        before += share
      }
      return progress.stage.withCString { self.function(self.user, self.last, $0) }
    }
  }
}
