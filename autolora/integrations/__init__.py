"""autolora inside other people's trainers and tuners; one file each, loaded when it is asked."""
