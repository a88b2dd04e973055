// Everything of Wengert, for its users.
#pragma once

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/models/dataset.hpp>
#include <wengert/models/evaluation.hpp>
#include <wengert/models/layers.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/model.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/fusion/fusions.hpp>
