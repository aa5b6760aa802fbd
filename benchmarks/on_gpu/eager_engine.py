"""An engine of TensorRT-RTX that runs final kernels from the first run on, so that its times are not those of fallback kernels."""

from fnet_runtime.engine.products import has_part
from fnet_runtime.sessions.trt_engine import TrtEngine


class EagerEngine(TrtEngine):
    """The shipped engine, with a setting of TensorRT-RTX. By default it compiles the kernels of a shape while others run it."""

    def context(self):
        """Make an execution context, as TrtEngine does."""
        if not has_part(self._trt, "DynamicShapesKernelSpecializationStrategy"):
            return super().context()
        return self._eager(self._engine.create_runtime_config())

    def context_that_captures(self):
        """Make an execution context that makes CUDA graphs itself, as TrtEngine does."""
        strategies = ("CudaGraphStrategy", "DynamicShapesKernelSpecializationStrategy")
        if not all(has_part(self._trt, strategy) for strategy in strategies):
            return super().context_that_captures()
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._eager(config)

    def _eager(self, config):
        config.dynamic_shapes_kernel_specialization_strategy = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
        return self._made(self._engine.create_execution_context(config))
